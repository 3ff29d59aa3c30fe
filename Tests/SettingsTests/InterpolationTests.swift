import Testing

@testable import Settings

@Suite struct InterpolationTests {
    private let environment = ["A": "alpha", "EMPTY": "", "N": "12", "DOLLAR": "${A}"]

    private func expand(_ text: String) throws -> String? { try Interpolation.expand(text, environment) }

    @Test func putsVariablesIn() throws {
        #expect(try expand("${A}") == "alpha")
        #expect(try expand("x${A}y${N}z") == "xalphay12z")
        #expect(try expand("${EMPTY}") == "")
        #expect(try expand("${DOLLAR}") == "${A}")
    }

    @Test func leavesEverythingElse() throws {
        #expect(try expand("") == nil)
        #expect(try expand("{prefix}.{entity}") == nil)
        #expect(try expand("$A $$ $") == nil)
        #expect(try expand("$${A}") == "$alpha")
    }

    @Test func takesTheDefaultWhereNothingOrEmptinessIsSet() throws {
        #expect(try expand("${UNSET:-d}") == "d")
        #expect(try expand("${EMPTY:-d}") == "d")
        #expect(try expand("${A:-d}") == "alpha")
        #expect(try expand("${UNSET:-}") == "")
        #expect(try expand("${UNSET:-${ALSO:-${A}}!}") == "alpha!")
        #expect(try expand("${UNSET:-{prefix}.{entity}}") == "{prefix}.{entity}")
    }

    @Test func saysWhatIsWrong() {
        #expect(throws: Interpolation.Failure.unset("UNSET")) { try expand("${UNSET}") }
        for text in ["${", "${}", "${A", "${A-b}", "${1A}", "${A B}", "${A:b}", "${ä}"] {
            #expect(throws: Interpolation.Failure.malformed) { try expand(text) }
        }
    }

    @Test func doesNotDescendForEver() {
        let text = String(repeating: "${U:-", count: 10_000) + String(repeating: "}", count: 10_000)
        #expect(throws: Interpolation.Failure.malformed) { try expand(text) }
    }

    @Test func worksInListsAndTables() throws {
        let loading = Loading(
            """
            [source]
            tables = ["public.${A}", "${N}.x"]
            [events.entities]
            "public.a" = "${A:-x}"
            """, environment: environment)
        #expect(try loading.values.source.tables == ["public.alpha", "12.x"])
        #expect(try loading.values.events.entities == ["public.a": "alpha"])
    }

    @Test func complainsWithTheNameOfTheVariable() {
        #expect(
            Loading("source.slot = \"${UNSET}\"\nsource.publication = \"${\"\n").complaints == [
                "slotstream.toml:1: source.slot: the variable UNSET is not set; set UNSET, or write ${UNSET:-default}",
                "slotstream.toml:2: source.publication: ${ must begin ${NAME} or ${NAME:-default}",
            ])
    }
}
