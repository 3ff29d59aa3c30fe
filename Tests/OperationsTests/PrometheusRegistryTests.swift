import CoreMetrics
import Operations
import Testing

@Suite struct PrometheusRegistryTests {
    @Test func rendersTheTextFormatByteForByte() {
        let registry = PrometheusRegistry(
            help: ["jobs_total": "Jobs done.\nA back\\slash.", "wait_seconds": "Time waited."],
            buckets: ["wait_seconds": [1, 0.5, 10]])
        Counter(label: "jobs_total", dimensions: [("queue", "b"), ("kind", "x")], factory: registry).increment(by: 3)
        Counter(label: "jobs_total", dimensions: [("queue", "a"), ("kind", "x")], factory: registry).increment()
        FloatingPointCounter(label: "cost_total", factory: registry).increment(by: 1.25)
        Gauge(label: "depth", factory: registry).record(-7)
        Meter(label: "level", dimensions: [("at", "q\"\\\n")], factory: registry).set(0.5)
        let timer = Timer(label: "wait_seconds", factory: registry)
        timer.recordMilliseconds(500)
        timer.recordMilliseconds(750)
        timer.recordSeconds(60)
        #expect(
            registry.render() == #"""
                # TYPE cost_total counter
                cost_total 1.25
                # TYPE depth gauge
                depth -7
                # HELP jobs_total Jobs done.\nA back\\slash.
                # TYPE jobs_total counter
                jobs_total{kind="x",queue="a"} 1
                jobs_total{kind="x",queue="b"} 3
                # TYPE level gauge
                level{at="q\"\\\n"} 0.5
                # HELP wait_seconds Time waited.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{le="0.5"} 1
                wait_seconds_bucket{le="1"} 2
                wait_seconds_bucket{le="10"} 2
                wait_seconds_bucket{le="+Inf"} 3
                wait_seconds_sum 61.25
                wait_seconds_count 3

                """#)
    }

    @Test func rendersNothingWhenThereIsNothing() {
        #expect(PrometheusRegistry().render().isEmpty)
    }

    @Test func givesTheSameHandlerForTheSameNameAndDimensionsInAnyOrder() {
        let registry = PrometheusRegistry()
        let one = registry.makeCounter(label: "a", dimensions: [("x", "1"), ("y", "2")])
        #expect(registry.makeCounter(label: "a", dimensions: [("y", "2"), ("x", "1")]) === one)
        #expect(registry.makeFloatingPointCounter(label: "a", dimensions: [("x", "1"), ("y", "2")]) === one)
        #expect(registry.makeCounter(label: "a", dimensions: [("x", "1")]) !== one)
        #expect(registry.makeCounter(label: "b", dimensions: [("x", "1"), ("y", "2")]) !== one)
        #expect(
            registry.makeMeter(label: "m", dimensions: [])
                === registry.makeRecorder(label: "m", dimensions: [], aggregate: false))
        #expect(
            registry.makeTimer(label: "t", dimensions: [])
                === registry.makeRecorder(label: "t", dimensions: [], aggregate: true))
    }

    @Test func doesNotMistakeOneLabelSetForAnother() {
        let registry = PrometheusRegistry()
        let one = registry.makeCounter(label: "a", dimensions: [("x", "1\",y=\"2")])
        let other = registry.makeCounter(label: "a", dimensions: [("x", "1"), ("y", "2")])
        #expect(one !== other)
    }

    @Test(arguments: ["", "plain", "\"", "\\", "\\n", "\n", "\r\n", "a\"b\\c\nd", "é 🐘", "{}=,", "\u{0}"])
    func labelValuesComeBackAsTheyWere(_ value: String) throws {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "a", dimensions: [("x", value)]).increment(by: 1)
        let scrape = try Scrape(registry.render())
        #expect(scrape.samples == [.init(name: "a", labels: ["x": value], value: 1)])
        #expect(scrape.samples[0].labels["x"]?.utf8.elementsEqual(value.utf8) == true)
    }

    @Test func replacesWhatPrometheusDoesNotAllowInNames() throws {
        let registry = PrometheusRegistry()
        for label in ["http.requests-total", "9lives", "", "ns:ok", "grün"] {
            registry.makeCounter(label: label, dimensions: [("a-b", "1"), ("2nd", "2"), ("c:d", "3")]).increment(by: 1)
        }
        let names = try Scrape(registry.render()).samples.map(\.name)
        #expect(names.sorted() == ["_", "_9lives", "gr__n", "http_requests_total", "ns:ok"].sorted())
        #expect(
            try Scrape(registry.render()).samples.allSatisfy { $0.labels == ["a_b": "1", "_2nd": "2", "c_d": "3"] })
    }

    @Test func namesASecondKindApart() throws {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "a", dimensions: []).increment(by: 1)
        registry.makeMeter(label: "a", dimensions: []).set(2.0)
        registry.makeTimer(label: "a", dimensions: []).recordNanoseconds(3)
        let scrape = try Scrape(registry.render())
        #expect(scrape.kinds == ["a": "counter", "a_gauge": "gauge", "a_histogram": "histogram"])
        #expect(scrape.value("a_gauge") == 2)
    }

    @Test func keepsTheBucketsOwnLabelForTheBuckets() throws {
        let registry = PrometheusRegistry(buckets: ["h": [1]])
        registry.makeTimer(label: "h", dimensions: [("le", "mine")]).recordNanoseconds(1)
        let scrape = try Scrape(registry.render())
        #expect(scrape.value("h_bucket", ["le_": "mine", "le": "+Inf"]) == 1)
    }

    @Test func countersNeverFallExceptWhenReset() throws {
        let registry = PrometheusRegistry()
        let whole = registry.makeCounter(label: "w", dimensions: [])
        let floating = registry.makeFloatingPointCounter(label: "f", dimensions: [])
        whole.increment(by: 5)
        for amount in [Int64.min, -1, 0] { whole.increment(by: amount) }
        floating.increment(by: 5.5)
        for amount in [-1, -Double.infinity, .infinity, .nan] { floating.increment(by: amount) }
        #expect(try Scrape(registry.render()).value("w") == 5)
        #expect(try Scrape(registry.render()).value("f") == 5.5)
        whole.reset()
        floating.reset()
        #expect(registry.render().contains("w 0\n"))
        #expect(registry.render().contains("f 0\n"))
    }

    @Test func wholeCountsStayExactBeyondWhatADoubleHolds() {
        let registry = PrometheusRegistry()
        let counter = registry.makeCounter(label: "a", dimensions: [])
        counter.increment(by: 1 << 53)
        counter.increment(by: 1)
        #expect(registry.render().hasSuffix("a 9007199254740993\n"))
    }

    @Test func gaugesShowWhateverTheyAreSetTo() throws {
        let registry = PrometheusRegistry()
        let gauge = registry.makeMeter(label: "g", dimensions: [])
        for (value, text) in [
            (Double.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (-0.0, "0"), (1e300, "1e+300"),
            (2.5, "2.5"),
        ] {
            gauge.set(value)
            #expect(registry.render().hasSuffix("g \(text)\n"))
        }
        gauge.set(Int64(40))
        gauge.increment(by: 2.5)
        gauge.decrement(by: 0.5)
        gauge.increment(by: .nan)
        #expect(registry.render().hasSuffix("g 42\n"))
    }

    @Test func bucketBoundsAreInclusiveAndSorted() throws {
        let registry = PrometheusRegistry(buckets: ["h": [3, 1, .infinity, 1, .nan, 2]])
        let histogram = registry.makeRecorder(label: "h", dimensions: [], aggregate: true)
        for value in [1, 2, 2.25, 3, 4, -1] as [Double] { histogram.record(value) }
        for value in [Double.nan, .infinity, -.infinity] { histogram.record(value) }
        let scrape = try Scrape(registry.render())
        let counts = scrape.samples.filter { $0.name == "h_bucket" }.map(\.value)
        #expect(counts == [2, 3, 5, 6])
        #expect(scrape.value("h_sum") == 11.25)
    }

    @Test func aNegativeDurationCountsAsNone() throws {
        let registry = PrometheusRegistry()
        registry.makeTimer(label: "t", dimensions: []).recordNanoseconds(-5_000_000_000)
        let scrape = try Scrape(registry.render())
        #expect(scrape.value("t_sum") == 0)
        #expect(scrape.value("t_bucket", ["le": "0.005"]) == 1)
    }

    @Test func forgetsWhatIsDestroyed() throws {
        let registry = PrometheusRegistry()
        let kept = registry.makeCounter(label: "a", dimensions: [("x", "1")])
        let counter = registry.makeCounter(label: "a", dimensions: [("x", "2")])
        let floating = registry.makeFloatingPointCounter(label: "f", dimensions: [])
        let meter = registry.makeMeter(label: "m", dimensions: [])
        let recorder = registry.makeRecorder(label: "r", dimensions: [], aggregate: true)
        let timer = registry.makeTimer(label: "t", dimensions: [])
        kept.increment(by: 7)
        registry.destroyCounter(counter)
        registry.destroyFloatingPointCounter(floating)
        registry.destroyMeter(meter)
        registry.destroyRecorder(recorder)
        registry.destroyTimer(timer)
        #expect(registry.render() == "# TYPE a counter\na{x=\"1\"} 7\n")

        let again = registry.makeCounter(label: "a", dimensions: [("x", "2")])
        #expect(again !== counter)
        registry.destroyCounter(counter)
        #expect(registry.makeCounter(label: "a", dimensions: [("x", "2")]) === again)
    }

    @Test func leavesAnotherRegistrysHandlersAlone() {
        let one = PrometheusRegistry()
        let other = PrometheusRegistry()
        let counter = one.makeCounter(label: "a", dimensions: [])
        _ = other.makeCounter(label: "a", dimensions: [])
        other.destroyCounter(counter)
        other.destroyCounter(NOOPMetricsHandler.instance)
        #expect(!other.render().isEmpty)
    }

    @Test func countsAreExactAfterConcurrentIncrements() async throws {
        let registry = PrometheusRegistry(buckets: ["h": [0.5, 1.5]])
        let tasks = 8
        let turns = 20_000
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<tasks {
                group.addTask {
                    // Each task asks for itself: they must all get the same handlers.
                    let whole = registry.makeCounter(label: "w", dimensions: [("a", "b")])
                    let floating = registry.makeFloatingPointCounter(label: "f", dimensions: [])
                    let gauge = registry.makeMeter(label: "g", dimensions: [])
                    let histogram = registry.makeRecorder(label: "h", dimensions: [], aggregate: true)
                    for _ in 0..<turns {
                        whole.increment(by: 1)
                        floating.increment(by: 0.25)
                        gauge.increment(by: 1)
                        histogram.record(Int64(task % 3))
                    }
                }
            }
            // A scrape in the middle must be whole, too.
            for _ in 0..<20 {
                group.addTask { #expect(throws: Never.self) { _ = try Scrape(registry.render()) } }
            }
        }
        let scrape = try Scrape(registry.render())
        let total = Double(tasks * turns)
        #expect(scrape.value("w", ["a": "b"]) == total)
        #expect(scrape.value("f") == total / 4)
        #expect(scrape.value("g") == total)
        #expect(scrape.value("h_bucket", ["le": "0.5"]) == Double(3 * turns))
        #expect(scrape.value("h_bucket", ["le": "1.5"]) == Double(6 * turns))
        #expect(scrape.value("h_count") == total)
        #expect(scrape.value("h_sum") == Double((3 * 0 + 3 * 1 + 2 * 2) * turns))
    }
}
