import SeededRandom
import Testing

@testable import Pipeline

@Suite struct PublicationSetupTests {
    @Test(arguments: [
        ("public.tb_*", #"public.tb\_%"#), ("public.tb_?", #"public.tb\__"#), ("public.100%", #"public.100\%"#),
        (#"public.a\b"#, #"public.a\\b"#), ("*.*", "%.%"), ("", ""), ("größe.東京", "größe.東京"),
        ("a%\u{301}b", "a\\%\u{301}b"), ("a*\u{301}b", "a%\u{301}b"),
    ])
    func starAndQuestionMarkAreLIKEsAndEverythingElseIsItself(_ pattern: String, _ like: String) {
        #expect(PublicationSetup.likePattern(pattern) == like)
    }

    /// Against LIKE as PostgreSQL documents it, for all texts over a small alphabet.
    @Test(arguments: [1] as [UInt64])
    func matchesExactlyWhatThePatternMeans(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let alphabet = Array(#"a_%\*?"#.unicodeScalars)
        func text(_ longest: Int) -> [Unicode.Scalar] {
            (0..<Int.random(in: 0...longest, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
        }
        for _ in 0..<20_000 {
            let pattern = text(5)
            let subject = text(6)
            let like = Array(PublicationSetup.likePattern(String(String.UnicodeScalarView(pattern))).unicodeScalars)
            #expect(
                Self.like(subject[...], like[...]) == Self.glob(subject[...], pattern[...]),
                "\(String(String.UnicodeScalarView(subject))) by \(String(String.UnicodeScalarView(pattern))), seed \(seed)"
            )
        }
    }

    private static func glob(_ text: ArraySlice<Unicode.Scalar>, _ pattern: ArraySlice<Unicode.Scalar>) -> Bool {
        guard let head = pattern.first else { return text.isEmpty }
        if head == "*" { return glob(text, pattern.dropFirst()) || (!text.isEmpty && glob(text.dropFirst(), pattern)) }
        guard let first = text.first, head == "?" || head == first else { return false }
        return glob(text.dropFirst(), pattern.dropFirst())
    }

    private static func like(_ text: ArraySlice<Unicode.Scalar>, _ pattern: ArraySlice<Unicode.Scalar>) -> Bool {
        guard let head = pattern.first else { return text.isEmpty }
        if head == "%" { return like(text, pattern.dropFirst()) || (!text.isEmpty && like(text.dropFirst(), pattern)) }
        let literal = head == "\\" ? pattern.dropFirst().first : head
        guard let first = text.first, head == "_" || literal == first else { return false }
        return like(text.dropFirst(), pattern.dropFirst(head == "\\" ? 2 : 1))
    }
}
