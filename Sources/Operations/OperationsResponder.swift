import HTTPTypes
import History
import HummingbirdCore
import NIOCore
import Pipeline

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One request in, one response out: which path and method give what.
struct OperationsResponder: Sendable {
    /// The body of `/livez` and `/readyz`; what is nil is left out.
    private struct Verdict: Encodable {
        var live: Bool?
        var ready: Bool?
        var role: String?
        var reasons: [String]?
    }

    let status: @Sendable () -> any ServedStatus
    /// nil: there is no page, and nothing that it asks for.
    let recent: (@Sendable () -> RecentActivity)?
    let refreshMetrics: @Sendable () -> Void
    let registry: PrometheusRegistry
    let hosts: HostRule

    /// What is not served is answered 404, 405, 413 or 421.
    /// - Parameter channel: The connection, so that it can be cut off.
    func respond(to request: Request, on channel: any Channel) -> Response {
        var response = answer(request, on: channel)
        response.headers[.date] = HTTPDate.now
        return response
    }

    private func answer(_ request: Request, on channel: any Channel) -> Response {
        if bodyIsTooLarge(request.headers) { return cutOff(channel) }
        guard hosts.allows(request.head.authority) else {
            return text(.misdirectedRequest, "use an address, localhost, or the name in http.listen\n", for: request)
        }
        guard let endpoint = OperationsEndpoint(rawValue: request.uri.path), recent != nil || !endpoint.isOfThePage else {
            let paths = OperationsEndpoint.allCases.filter { recent != nil || !$0.isOfThePage }.map(\.rawValue).joined(separator: " ")
            return text(.notFound, "not found; there is \(paths)\n", for: request)
        }
        switch request.method {
        case .get: return answer(endpoint)
        case .head: return answer(endpoint).createHeadResponse()
        default:
            var response = text(.methodNotAllowed, "only GET and HEAD are allowed\n", for: request)
            response.headers[.allow] = "GET, HEAD"
            return response
        }
    }

    private func answer(_ endpoint: OperationsEndpoint) -> Response {
        switch endpoint {
        case .live:
            let status = status()
            return status.live
                ? json(.ok, Verdict(live: true))
                : json(.serviceUnavailable, Verdict(live: false, reasons: status.reasons))
        case .ready:
            let status = status()
            return status.ready
                ? json(.ok, Verdict(role: status.roleName))
                : json(.serviceUnavailable, Verdict(ready: false, role: status.roleName, reasons: status.reasons))
        case .metrics:
            refreshMetrics()
            return response(.ok, "text/plain; version=0.0.4; charset=utf-8", registry.render())
        case .status:
            return response(.ok, "application/json", status().json())
        case .recent:
            return response(.ok, "application/json", recent?().json() ?? "{}")
        case .page: return page(StatusPage.html, "text/html; charset=utf-8")
        case .pageStyle: return page(StatusPage.style, "text/css; charset=utf-8")
        case .pageScript: return page(StatusPage.script, "text/javascript; charset=utf-8")
        }
    }

    /// A part of the page, which takes nothing from elsewhere and sends nothing anywhere.
    private func page(_ body: [UInt8], _ contentType: String) -> Response {
        var response = response(.ok, contentType, ByteBuffer(bytes: body))
        response.headers[.contentSecurityPolicy] = StatusPage.contentSecurityPolicy
        response.headers[.xContentTypeOptions] = "nosniff"
        return response
    }

    /// A body is never used, but one that is small is read over, so that the connection stays usable.
    private func bodyIsTooLarge(_ headers: HTTPFields) -> Bool {
        if headers[.transferEncoding] != nil { return true }
        guard let length = headers[.contentLength] else { return false }
        return Int(length).map { $0 > OperationsServer.bodyByteLimit } ?? true
    }

    /// Hummingbird would read a body to its end, however long; closing is the only way not to.
    private func cutOff(_ channel: any Channel) -> Response {
        let body = ResponseBody(contentLength: 0) { writer in
            try await writer.finish(nil)
            try await channel.close()
        }
        return Response(status: .contentTooLarge, headers: [.connection: "close"], body: body)
    }

    private func json(_ status: HTTPResponse.Status, _ verdict: Verdict) -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Booleans and strings only: encoding cannot fail.
        let body = (try? encoder.encode(verdict)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
        return response(status, "application/json", body)
    }

    /// - Parameter request: A HEAD gets no body, else the client would take it for the next answer.
    private func text(_ status: HTTPResponse.Status, _ text: String, for request: Request) -> Response {
        let whole = response(status, "text/plain; charset=utf-8", text)
        return request.method == .head ? whole.createHeadResponse() : whole
    }

    private func response(_ status: HTTPResponse.Status, _ contentType: String, _ body: String) -> Response {
        response(status, contentType, ByteBuffer(string: body))
    }

    private func response(_ status: HTTPResponse.Status, _ contentType: String, _ body: ByteBuffer) -> Response {
        Response(
            status: status, headers: [.contentType: contentType, .cacheControl: "no-store"], body: ResponseBody(byteBuffer: body))
    }
}
