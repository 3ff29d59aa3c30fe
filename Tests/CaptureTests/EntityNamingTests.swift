import SeededRandom
import Testing

@testable import Capture

@Suite struct EntityNamingTests {
    @Test(arguments: [
        ("tb_order", "Order"), ("tb_order_line", "OrderLine"), ("order", "Order"), ("tb_", "Tb"), ("tb", "Tb"),
        ("tb__x", "X"), ("tb___", "tb___"), ("_", "_"), ("tb_2fa_code", "2faCode"), ("TB_order", "TBOrder"),
        ("tb_ORDER", "ORDER"), ("tb_état", "état"), ("tb_order_état", "Orderétat"), ("tb_a.b", "A.b"),
        ("tb_tb_x", "TbX"),
    ])
    func cutsThePrefixAndJoinsTheParts(table: String, entity: String) {
        #expect(EntityNaming.entity(forTable: table, prefixes: ["tb_"]) == entity)
    }

    @Test func cutsTheLongestPrefixThatLeavesSomething() {
        #expect(EntityNaming.entity(forTable: "tb_app_order", prefixes: ["tb_", "tb_app_", "x_"]) == "Order")
        #expect(EntityNaming.entity(forTable: "tb_app_", prefixes: ["tb_", "tb_app_"]) == "App")
        #expect(EntityNaming.entity(forTable: "tb_order", prefixes: []) == "TbOrder")
        // One é in two spellings: names are bytes.
        #expect(EntityNaming.entity(forTable: "e\u{301}_x", prefixes: ["\u{E9}_"]) == "E\u{301}X")
    }

    @Test func encodesTokensReversiblyAndWithoutCollision() {
        var random = SplitMix64(seed: 2)
        let pieces = [
            "a", "Z", "_", "-", ".", "*", ">", " ", "%", "%empty", "é", "😀", "\r\n", "\0", "\u{7F}", "%2E", "null",
        ]
        var byToken: [[UInt8]: String] = [:]
        for _ in 0..<5000 {
            let value = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                pieces.randomElement(using: &random) ?? ""
            }
            .joined()
            let token = EntityNaming.token(value)
            #expect(token.allSatisfy { EntityNaming.isPlain($0) || $0 == UInt8(ascii: "%") })
            #expect(!token.isEmpty)
            if let other = byToken.updateValue(value, forKey: token) { #expect(other.utf8.elementsEqual(value.utf8)) }
            #expect(Self.decoded(token).elementsEqual(value.utf8))
        }
        #expect(EntityNaming.token("") == Array("%empty".utf8))
        #expect(EntityNaming.token("%empty") == Array("%25empty".utf8))
        #expect(EntityNaming.token("a.b*>é") == Array("a%2Eb%2A%3E%C3%A9".utf8))
    }

    private static func decoded(_ token: [UInt8]) -> [UInt8] {
        if token == Array("%empty".utf8) { return [] }
        var bytes: [UInt8] = []
        var rest = token[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            bytes.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}

@Suite struct ExclusionPatternTests {
    @Test(arguments: [
        ("public.tb_order", "public.tb_order", true), ("public.tb_order", "public.tb_orders", false),
        ("public.*", "public.tb_order", true), ("*", "any.thing", true), ("*.tb_order", "a.b.tb_order", true),
        ("public.tb_?", "public.tb_a", true), ("public.tb_?", "public.tb_é", true),
        ("public.tb_?", "public.tb_😀", true),
        ("public.tb_?", "public.tb_ab", false), ("public.tb_?", "public.tb_", false),
        ("public.tb_??", "public.tb_é", false),
        ("*a*b*c", "xaxbxc", true), ("*a*b*c", "xaxbxcx", false), ("", "public.tb_order", false), ("", "", true),
        ("public.Tb_order", "public.tb_order", false), ("public.[a]", "public.a", false),
        ("public.a\\*", "public.ab", false),
    ])
    func matchesTablesAsGlobsDo(pattern: String, table: String, isMatch: Bool) {
        #expect(ExclusionPattern(pattern).matches(qualifiedName: table, operation: "INSERT") == isMatch)
    }

    @Test func matchesOneOperationWhereOneIsNamed() {
        let pattern = ExclusionPattern("public.tb_*:DELETE")
        #expect(pattern.matches(qualifiedName: "public.tb_order", operation: "DELETE"))
        #expect(!pattern.matches(qualifiedName: "public.tb_order", operation: "INSERT"))
        #expect(ExclusionPattern("*:*").matches(qualifiedName: "public.a:b", operation: "TRUNCATE"))
        #expect(ExclusionPattern("public.a:b:UPDATE").matches(qualifiedName: "public.a:b", operation: "UPDATE"))
    }

    @Test func staysFastOnPatternsMadeToBeSlow() {
        let pattern = ExclusionPattern(String(repeating: "*a", count: 30) + "*b")
        #expect(!pattern.matches(qualifiedName: String(repeating: "a", count: 2000), operation: "INSERT"))
    }
}
