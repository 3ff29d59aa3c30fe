/// The page at `/`: three files of `Page`, which the build puts into the program.
enum StatusPage {
    /// The page takes style, script and data from this server alone, is shown in no other page, and sends no form.
    static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    static var html: [UInt8] { PackageResources.page_html }
    static var style: [UInt8] { PackageResources.page_css }
    static var script: [UInt8] { PackageResources.page_js }
}
