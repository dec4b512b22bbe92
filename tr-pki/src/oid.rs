//! Object identifiers, as the content octets of their DER encoding.
//!
//! No number is registered to this project, so its identifiers grow from a UUID under `2.25`
//! (ITU-T X.667 §7): anyone may make such an arc, and no two will meet.

/// `2.25.57455239376446990404463266802384131570`, the arc of all our identifiers: the UUID
/// `2b397a02-4e9e-41e1-ae2a-e7e5dee655f2` as one 128-bit integer.
///
/// Of several random UUIDs one with two leading zero bits was kept; it saves an octet in each
/// identifier.
pub const ARC: [u8; 19] = [
    0x69, 0xd6, 0xb9, 0xbd, 0x80, 0xc9, 0xe9, 0xf2, 0x87, 0xc3, 0xae, 0x95, 0xb9, 0xfc, 0xdd, 0xf7, 0x99, 0xab, 0x72,
];

/// Length of an identifier directly below [`ARC`].
pub const ARC_CHILD_LEN: usize = ARC.len() + 1;

/// Makes the identifier `ARC.number`, `number` below 128.
const fn below_arc(number: u8) -> [u8; ARC_CHILD_LEN] {
    assert!(number < 128, "one octet per identifier");
    let mut out = [0; ARC_CHILD_LEN];
    let mut i = 0;
    while i < ARC.len() {
        out[i] = ARC[i];
        i += 1;
    }
    out[ARC.len()] = number;
    out
}

/// `ARC.1`: the certificate policy of individual certificates and of the CAs above them.
pub const POLICY_INDIVIDUAL: &[u8] = &below_arc(1);
/// `ARC.2`: the certificate policy of TLS class certificates and of the CA above them.
pub const POLICY_CLASS: &[u8] = &below_arc(2);

/// `ARC.16`: extended key usage of a point of sale.
pub const EKU_POS: &[u8] = &below_arc(16);
/// `ARC.17`: extended key usage of a virtual card.
pub const EKU_VIRTUAL_CARD: &[u8] = &below_arc(17);
/// `ARC.18`: extended key usage of a gateway.
pub const EKU_GATEWAY: &[u8] = &below_arc(18);
/// `ARC.19`: extended key usage of a backend.
pub const EKU_BACKEND: &[u8] = &below_arc(19);
/// `ARC.20`: extended key usage of a website.
pub const EKU_WEBSITE: &[u8] = &below_arc(20);
/// `ARC.21`: extended key usage of an OCSP signer, beside [`EKU_OCSP_SIGNING`].
pub const EKU_OCSP_SIGNER: &[u8] = &below_arc(21);
/// `ARC.32`: extended key usage of the TLS class certificate of all points of sale.
pub const EKU_CLASS_POS: &[u8] = &below_arc(32);
/// `ARC.33`: extended key usage of the TLS class certificate of all virtual cards.
pub const EKU_CLASS_CARD: &[u8] = &below_arc(33);
/// `ARC.34`: extended key usage of a gateway's TLS class certificate.
pub const EKU_CLASS_GATEWAY: &[u8] = &below_arc(34);
/// `ARC.35`: extended key usage of a backend's TLS class certificate.
pub const EKU_CLASS_BACKEND: &[u8] = &below_arc(35);
/// `ARC.36`: extended key usage of a website's TLS class certificate.
pub const EKU_CLASS_WEBSITE: &[u8] = &below_arc(36);

/// id-kp-serverAuth (RFC 5280 §4.2.1.12).
pub const EKU_SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// id-kp-clientAuth (RFC 5280 §4.2.1.12).
pub const EKU_CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
/// id-kp-OCSPSigning (RFC 6960 §4.2.2.2).
pub const EKU_OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

// The last arcs of the standard certificate extensions, below id-ce, `2.5.29` (RFC 5280 §4.2.1).
pub(crate) const CE_SUBJECT_KEY_IDENTIFIER: u8 = 14;
pub(crate) const CE_KEY_USAGE: u8 = 15;
pub(crate) const CE_SUBJECT_ALT_NAME: u8 = 17;
pub(crate) const CE_BASIC_CONSTRAINTS: u8 = 19;
pub(crate) const CE_CERTIFICATE_POLICIES: u8 = 32;
pub(crate) const CE_AUTHORITY_KEY_IDENTIFIER: u8 = 35;
pub(crate) const CE_EXTENDED_KEY_USAGE: u8 = 37;
