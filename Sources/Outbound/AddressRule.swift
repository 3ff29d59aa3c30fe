/// Which addresses are of the public internet.
///
/// Source: IANA's registries of special-purpose addresses (RFC 6890) for IPv4 and IPv6; of IPv6 only global unicast (2000::/3) is given to anybody.
package enum AddressRule {
    /// Whether a request that somebody else's data caused may go there.
    ///
    /// An IPv6 address that stands for one of IPv4 is what that one is.
    package static func isPublic(_ address: IPAddress) -> Bool {
        let bytes = address.bytes
        guard bytes.count == 16 else { return !isIn(refusedOfIPv4, bytes) }
        if let embedded = embeddedIPv4(bytes) { return !isIn(refusedOfIPv4, embedded) }
        return isIn([globalUnicast], bytes) && !isIn(refusedOfIPv6, bytes)
    }

    private typealias Block = (prefix: [UInt8], bitCount: Int)

    private static let refusedOfIPv4: [Block] = [
        ([0], 8),  // this network; 0.0.0.0 is this host
        ([10], 8),  // private
        ([100, 64], 10),  // a provider's own (CGNAT), and a cloud's
        ([127], 8),  // loopback
        ([168, 63, 129, 16], 32),  // a cloud's own server, as 169.254.169.254 is, though the address is public
        ([169, 254], 16),  // link-local
        ([172, 16], 12),  // private
        ([192, 0, 0], 24),  // protocols' own
        ([192, 0, 2], 24),  // documentation
        ([192, 88, 99], 24),  // relays of 6to4
        ([192, 168], 16),  // private
        ([198, 18], 15),  // measurements
        ([198, 51, 100], 24),  // documentation
        ([203, 0, 113], 24),  // documentation
        ([224], 4),  // multicast
        ([240], 4),  // reserved, and broadcast
    ]

    private static let globalUnicast: Block = ([0x20], 3)

    private static let refusedOfIPv6: [Block] = [
        ([0x20, 0x01, 0], 23),  // protocols' own, Teredo among them
        ([0x20, 0x01, 0x0d, 0xb8], 32),  // documentation
        ([0x3f, 0xff, 0], 20),  // documentation
    ]

    /// The address of IPv4 that is meant: mapped (::ffff:0:0/96), translated (NAT64, 64:ff9b::/96), or of a relay (6to4, 2002::/16).
    private static func embeddedIPv4(_ bytes: [UInt8]) -> [UInt8]? {
        let isMapped = isIn([([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 96)], bytes)
        let isTranslated = isIn([([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], 96)], bytes)
        if isMapped || isTranslated { return Array(bytes[12...]) }
        return isIn([([0x20, 0x02], 16)], bytes) ? Array(bytes[2..<6]) : nil
    }

    private static func isIn(_ blocks: [Block], _ address: [UInt8]) -> Bool {
        blocks.contains { block in
            block.prefix.indices.allSatisfy { index in
                let bitCount = min(8, block.bitCount - index * 8)
                let mask: UInt8 = bitCount == 8 ? 0xff : ~(0xff >> bitCount)
                return (address[index] ^ block.prefix[index]) & mask == 0
            }
        }
    }
}
