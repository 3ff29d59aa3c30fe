/// What the operating system does not give: a thread, a descriptor.
package struct SystemError: Error {
    /// A sentence for people, with the system's own words in it.
    package var message: String
}
