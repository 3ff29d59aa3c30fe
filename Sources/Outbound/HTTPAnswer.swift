/// What a web server answered.
package struct HTTPAnswer: Sendable, Equatable {
    /// 200 to 299, or 400 and above.
    package let status: Int
    /// How long the server wants to be left alone (`Retry-After`), at most a day.
    package let retryAfter: Duration?
    /// The first 500 bytes of the body, printable, for the text of an error.
    package let excerpt: String

    package init(status: Int, retryAfter: Duration?, excerpt: String) {
        self.status = status
        self.retryAfter = retryAfter
        self.excerpt = excerpt
    }
}
