//! The one definition of every certificate this network knows. The issuer writes what it says and
//! the validator refuses what it does not.

use core::fmt;

use crate::oid;

/// digitalSignature (RFC 5280 §4.2.1.3), as in [`Profile::key_usage`].
pub const DIGITAL_SIGNATURE: u16 = 0x8000;
/// keyCertSign (RFC 5280 §4.2.1.3).
pub const KEY_CERT_SIGN: u16 = 0x0400;
/// cRLSign (RFC 5280 §4.2.1.3).
pub const CRL_SIGN: u16 = 0x0200;

/// Octets of a key identifier: the first of SHA-256 over the public key's point (in the manner of
/// RFC 7093 §2, method 1, cut shorter).
pub const KEY_IDENTIFIER_LEN: usize = 8;

/// Greatest issue number; with 96 random bits below it a serial number fits 16 octets.
pub const MAX_ISSUE_NUMBER: u32 = 0x7fff_ffff;

/// What a certificate is for. Each role has one [`Profile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The offline root of individual certificates.
    Root,
    /// The CA below the root that issues individual certificates.
    IssuingCa,
    /// One point of sale.
    Pos,
    /// One virtual card.
    VirtualCard,
    /// One gateway.
    Gateway,
    /// One backend.
    Backend,
    /// One website.
    Website,
    /// A delegated OCSP responder (RFC 6960 §4.2.2.2).
    OcspSigner,
    /// The self-signed CA of TLS class certificates.
    ClassCa,
    /// TLS, all points of sale together.
    ClassPos,
    /// TLS, all virtual cards together.
    ClassCard,
    /// TLS, gateway.
    ClassGateway,
    /// TLS, backend.
    ClassBackend,
    /// TLS, website.
    ClassWebsite,
}

impl Role {
    /// All roles, in the order of [`PROFILES`].
    pub const ALL: [Role; 14] = [
        Role::Root,
        Role::IssuingCa,
        Role::Pos,
        Role::VirtualCard,
        Role::Gateway,
        Role::Backend,
        Role::Website,
        Role::OcspSigner,
        Role::ClassCa,
        Role::ClassPos,
        Role::ClassCard,
        Role::ClassGateway,
        Role::ClassBackend,
        Role::ClassWebsite,
    ];

    /// The rules of this role's certificates.
    #[must_use]
    pub const fn profile(self) -> &'static Profile {
        match self {
            Role::Root => &ROOT,
            Role::IssuingCa => &ISSUING_CA,
            Role::Pos => &POS,
            Role::VirtualCard => &VIRTUAL_CARD,
            Role::Gateway => &GATEWAY,
            Role::Backend => &BACKEND,
            Role::Website => &WEBSITE,
            Role::OcspSigner => &OCSP_SIGNER,
            Role::ClassCa => &CLASS_CA,
            Role::ClassPos => &CLASS_POS,
            Role::ClassCard => &CLASS_CARD,
            Role::ClassGateway => &CLASS_GATEWAY,
            Role::ClassBackend => &CLASS_BACKEND,
            Role::ClassWebsite => &CLASS_WEBSITE,
        }
    }

    /// A short lower-case name, e.g. `issuing-ca`, for logs and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::IssuingCa => "issuing-ca",
            Role::Pos => "pos",
            Role::VirtualCard => "virtual-card",
            Role::Gateway => "gateway",
            Role::Backend => "backend",
            Role::Website => "website",
            Role::OcspSigner => "ocsp-signer",
            Role::ClassCa => "class-ca",
            Role::ClassPos => "class-pos",
            Role::ClassCard => "class-card",
            Role::ClassGateway => "class-gateway",
            Role::ClassBackend => "class-backend",
            Role::ClassWebsite => "class-website",
        }
    }

    /// The role with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether certificates of this role sign certificates.
    #[must_use]
    pub const fn is_ca(self) -> bool {
        self.profile().path_len.is_some()
    }

    /// The role that one of our private extended key usages stands for.
    pub(crate) fn from_private_eku(eku: &[u8]) -> Option<Role> {
        Some(match *eku.strip_prefix(&oid::ARC)? {
            [16] => Role::Pos,
            [17] => Role::VirtualCard,
            [18] => Role::Gateway,
            [19] => Role::Backend,
            [20] => Role::Website,
            [21] => Role::OcspSigner,
            [32] => Role::ClassPos,
            [33] => Role::ClassCard,
            [34] => Role::ClassGateway,
            [35] => Role::ClassBackend,
            [36] => Role::ClassWebsite,
            _ => return None,
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the certificates of one role must look like.
///
/// Common to all: version 3, P-256, ECDSA with SHA-256, a serial number of issue number × 2⁹⁶ +
/// 96 random bits, both key identifiers ([`KEY_IDENTIFIER_LEN`] octets, not critical), key usage
/// (critical), one policy (not critical). A CA has basic constraints (critical) and a subject name;
/// everyone else has an empty subject and a critical subjectAltName with one `urn:uuid:` URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// Whose profile this is.
    pub role: Role,
    /// Who issues; the role itself for a self-signed certificate.
    pub issuer: Role,
    /// Greatest distance from notBefore to notAfter, in seconds.
    pub lifetime: i64,
    /// pathLenConstraint of a CA; `None` if the role is no CA.
    pub path_len: Option<u8>,
    /// The exact key usage bits, bit 0 of RFC 5280 being `0x8000`.
    pub key_usage: u16,
    /// The exact extended key usages, in order; empty if the extension is absent.
    pub extended_key_usage: &'static [&'static [u8]],
    /// Whether the extended key usage extension is critical. TLS class certificates leave it
    /// non-critical, for stacks that do not know our own usages.
    pub extended_key_usage_critical: bool,
    /// The policy that must be among the certificate's policies.
    pub policy: &'static [u8],
    /// Whether the subjectAltName names hosts beside the URI, as TLS servers must.
    pub hosts: bool,
}

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// Every profile, in the order of [`Role::ALL`].
pub const PROFILES: [Profile; 14] = [
    ROOT,
    ISSUING_CA,
    POS,
    VIRTUAL_CARD,
    GATEWAY,
    BACKEND,
    WEBSITE,
    OCSP_SIGNER,
    CLASS_CA,
    CLASS_POS,
    CLASS_CARD,
    CLASS_GATEWAY,
    CLASS_BACKEND,
    CLASS_WEBSITE,
];

const ROOT: Profile = Profile {
    role: Role::Root,
    issuer: Role::Root,
    lifetime: 20 * YEAR,
    path_len: Some(1),
    key_usage: KEY_CERT_SIGN | CRL_SIGN,
    extended_key_usage: &[],
    extended_key_usage_critical: false,
    policy: oid::POLICY_INDIVIDUAL,
    hosts: false,
};
const ISSUING_CA: Profile = Profile {
    role: Role::IssuingCa,
    lifetime: 5 * YEAR,
    path_len: Some(0),
    ..ROOT
};
const CLASS_CA: Profile = Profile {
    role: Role::ClassCa,
    issuer: Role::ClassCa,
    lifetime: 10 * YEAR,
    path_len: Some(0),
    policy: oid::POLICY_CLASS,
    ..ROOT
};
const POS: Profile = Profile {
    role: Role::Pos,
    issuer: Role::IssuingCa,
    lifetime: 90 * DAY,
    path_len: None,
    key_usage: DIGITAL_SIGNATURE,
    extended_key_usage: &[oid::EKU_POS],
    extended_key_usage_critical: true,
    policy: oid::POLICY_INDIVIDUAL,
    hosts: false,
};
const VIRTUAL_CARD: Profile = Profile {
    role: Role::VirtualCard,
    extended_key_usage: &[oid::EKU_VIRTUAL_CARD],
    ..POS
};
const GATEWAY: Profile = Profile {
    role: Role::Gateway,
    extended_key_usage: &[oid::EKU_GATEWAY],
    ..POS
};
const BACKEND: Profile = Profile {
    role: Role::Backend,
    extended_key_usage: &[oid::EKU_BACKEND],
    ..POS
};
const WEBSITE: Profile = Profile {
    role: Role::Website,
    extended_key_usage: &[oid::EKU_WEBSITE],
    ..POS
};
const OCSP_SIGNER: Profile = Profile {
    role: Role::OcspSigner,
    extended_key_usage: &[oid::EKU_OCSP_SIGNER, oid::EKU_OCSP_SIGNING],
    ..POS
};
const CLASS_POS: Profile = Profile {
    role: Role::ClassPos,
    issuer: Role::ClassCa,
    lifetime: YEAR,
    extended_key_usage: &[oid::EKU_CLASS_POS, oid::EKU_CLIENT_AUTH],
    extended_key_usage_critical: false,
    policy: oid::POLICY_CLASS,
    ..POS
};
const CLASS_CARD: Profile = Profile {
    role: Role::ClassCard,
    extended_key_usage: &[oid::EKU_CLASS_CARD, oid::EKU_CLIENT_AUTH],
    ..CLASS_POS
};
const CLASS_GATEWAY: Profile = Profile {
    role: Role::ClassGateway,
    extended_key_usage: &[oid::EKU_CLASS_GATEWAY, oid::EKU_SERVER_AUTH, oid::EKU_CLIENT_AUTH],
    hosts: true,
    ..CLASS_POS
};
const CLASS_BACKEND: Profile = Profile {
    role: Role::ClassBackend,
    extended_key_usage: &[oid::EKU_CLASS_BACKEND, oid::EKU_SERVER_AUTH, oid::EKU_CLIENT_AUTH],
    hosts: true,
    ..CLASS_POS
};
const CLASS_WEBSITE: Profile = Profile {
    role: Role::ClassWebsite,
    extended_key_usage: &[oid::EKU_CLASS_WEBSITE, oid::EKU_SERVER_AUTH, oid::EKU_CLIENT_AUTH],
    hosts: true,
    ..CLASS_POS
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_profiles_agree() {
        for (role, profile) in Role::ALL.into_iter().zip(&PROFILES) {
            assert_eq!(role, profile.role);
            assert_eq!(profile, role.profile());
            assert_eq!(Role::from_name(role.name()), Some(role));
            match profile.extended_key_usage.first() {
                Some(eku) => assert_eq!(Role::from_private_eku(eku), Some(role)),
                None => assert!(role.is_ca()),
            }
            assert!(profile.issuer.is_ca());
        }
        assert_eq!(Role::from_name("cashier"), None);
        assert_eq!(Role::from_private_eku(&oid::ARC), None);
        assert_eq!(Role::from_private_eku(oid::POLICY_CLASS), None);
    }
}
