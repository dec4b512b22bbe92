//! Keys, a small PKI, and a writer of bad certificates that shares no code with the issuer.

use core::convert::Infallible;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
use tr_pki::{BadSignature, Certificate, HostName, Role, Signer, Verifier, oid};

/// 2026-11-21T06:12:00Z.
pub(crate) const NOW: i64 = 1_795_241_520;
pub(crate) const DAY: i64 = 86_400;
pub(crate) const IDENTITY: &str = "urn:uuid:6ba7b810-9dad-41d1-80b4-00c04fd430c8";
pub(crate) const HOSTS: &[HostName<'static>] = &[HostName::Dns("gateway.example.net"), HostName::Ip(&[127, 0, 0, 1])];

pub(crate) struct Provider;

impl Verifier for Provider {
    fn verify(&self, key: &[u8; 65], message: &[u8], pair: &[u8; 64]) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| BadSignature)?;
        let signature = Signature::from_slice(pair).map_err(|_| BadSignature)?;
        key.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().into()
    }
}

pub(crate) struct Key(SigningKey);

impl Key {
    /// The key of a test that needs several.
    pub(crate) fn new(number: u8) -> Self {
        let mut scalar = [0x5a; 32];
        scalar[31] = number;
        Self(SigningKey::from_slice(&scalar).unwrap())
    }

    pub(crate) fn public(&self) -> [u8; 65] {
        let point = self.0.verifying_key().to_sec1_point(false);
        point.as_bytes().try_into().unwrap()
    }

    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        // PrivateKeyInfo of RFC 5958 around ECPrivateKey of RFC 5915.
        let scalar = tlv(0x04, &self.0.to_bytes());
        let point = tlv(0xa1, &tlv(0x03, &[&[0][..], &self.public()].concat()));
        let key = tlv(0x30, &[tlv(2, &[1]), scalar, point].concat());
        let algorithm = [
            tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
            tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        ];
        let algorithm = tlv(0x30, &algorithm.concat());
        tlv(0x30, &[tlv(2, &[0]), algorithm, tlv(4, &key)].concat())
    }
}

impl Signer for Key {
    type Error = Infallible;

    fn public_key(&self) -> Result<[u8; 65], Infallible> {
        Ok(self.public())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Infallible> {
        let signature: Signature = self.0.sign(message);
        Ok(signature.normalize_s().to_bytes().into())
    }
}

pub(crate) fn issue(number: u32, not_before: i64) -> Issue {
    Issue {
        number,
        random: [0xa5; 12],
        not_before,
        lifetime: None,
    }
}

/// Root, issuing CA and class CA.
pub(crate) struct Pki {
    pub(crate) root_key: Key,
    pub(crate) issuing_key: Key,
    pub(crate) class_key: Key,
    pub(crate) root: Vec<u8>,
    pub(crate) issuing: Vec<u8>,
    pub(crate) class: Vec<u8>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let (root_key, issuing_key, class_key) = (Key::new(1), Key::new(2), Key::new(3));
        let start = NOW - 10 * DAY;
        let root = self_signed(Role::Root, "tr root", &issue(1, start), &root_key, &Provider);
        let root = root.unwrap();
        let class = self_signed(Role::ClassCa, "tr cls", &issue(1, start), &class_key, &Provider);
        let class = class.unwrap();
        let authority = Authority::new(Certificate::parse(&root).unwrap(), &root_key).unwrap();
        let request = Request {
            role: Role::IssuingCa,
            public_key: &issuing_key.public(),
            subject: Subject::Authority { name: "tr ca 1" },
        };
        let issuing = authority.issue(&request, &issue(2, start), &Provider).unwrap();
        Self {
            root_key,
            issuing_key,
            class_key,
            root,
            issuing,
            class,
        }
    }

    /// An end entity's certificate of any role.
    pub(crate) fn entity(&self, role: Role, key: &Key, issue: &Issue) -> Vec<u8> {
        let (ca, signer) = match role.profile().issuer {
            Role::ClassCa => (&self.class, &self.class_key),
            _ => (&self.issuing, &self.issuing_key),
        };
        let authority = Authority::new(Certificate::parse(ca).unwrap(), signer).unwrap();
        let request = Request {
            role,
            public_key: &key.public(),
            subject: Subject::Entity {
                identity: IDENTITY,
                hosts: if role.profile().hosts { HOSTS } else { &[] },
            },
        };
        authority.issue(&request, issue, &Provider).unwrap()
    }

    /// The path below the anchor, and the anchor, of an end entity's role.
    pub(crate) fn above(&self, role: Role) -> (Option<&[u8]>, &[u8]) {
        match role.profile().issuer {
            Role::ClassCa => (None, &self.class),
            _ => (Some(&self.issuing), &self.root),
        }
    }
}

/// One element of DER.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn common_name(name: &str) -> Vec<u8> {
    let attribute = [tlv(6, &[0x55, 4, 3]), tlv(0x0c, name.as_bytes())].concat();
    tlv(0x30, &tlv(0x31, &tlv(0x30, &attribute)))
}

/// `YYMMDDHHMMSSZ`.
pub(crate) fn utc(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

pub(crate) fn ext(last: u8, critical: bool, value: Vec<u8>) -> (Vec<u8>, bool, Vec<u8>) {
    (vec![0x55, 0x1d, last], critical, value)
}

pub(crate) const AKI: u8 = 35;
pub(crate) const SKI: u8 = 14;
pub(crate) const USAGE: u8 = 15;
pub(crate) const BASIC: u8 = 19;
pub(crate) const SAN: u8 = 17;
pub(crate) const EKU: u8 = 37;
pub(crate) const POLICIES: u8 = 32;

/// A certificate to be spoilt: every part in DER.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) version: Vec<u8>,
    /// Content of the INTEGER.
    pub(crate) serial: Vec<u8>,
    pub(crate) inner_algorithm: Vec<u8>,
    pub(crate) outer_algorithm: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: Vec<u8>,
    pub(crate) not_after: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) key: [u8; 65],
    pub(crate) extensions: Vec<(Vec<u8>, bool, Vec<u8>)>,
    /// What follows the extensions.
    pub(crate) tail: Vec<u8>,
}

impl Draft {
    fn new(number: u8, issuer: &str, subject: &[u8], key: &Key, issuer_key: &Key) -> Self {
        let identifier = |key: &Key| Provider.sha256(&[&key.public()])[..8].to_vec();
        let algorithm = tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]));
        Self {
            version: tlv(0xa0, &tlv(2, &[2])),
            serial: [&[number][..], &[0xa5; 12]].concat(),
            inner_algorithm: algorithm.clone(),
            outer_algorithm: algorithm,
            issuer: common_name(issuer),
            not_before: utc("261111061200Z"),
            not_after: utc("270209061159Z"),
            subject: subject.to_vec(),
            key: key.public(),
            extensions: vec![
                ext(AKI, false, tlv(0x30, &tlv(0x80, &identifier(issuer_key)))),
                ext(SKI, false, tlv(4, &identifier(key))),
            ],
            tail: Vec::new(),
        }
    }

    /// As [`Pki::entity`] makes them with [`issue`] number 7, ten days before [`NOW`].
    pub(crate) fn pos(pki: &Pki, key: &Key) -> Self {
        let mut draft = Self::new(7, "tr ca 1", &[0x30, 0], key, &pki.issuing_key);
        draft.extensions.extend([
            ext(USAGE, true, vec![3, 2, 7, 0x80]),
            ext(SAN, true, tlv(0x30, &tlv(0x86, IDENTITY.as_bytes()))),
            ext(EKU, true, tlv(0x30, &tlv(6, oid::EKU_POS))),
            policies(oid::POLICY_INDIVIDUAL),
        ]);
        draft
    }

    /// As [`Pki::new`] makes them.
    pub(crate) fn issuing(pki: &Pki) -> Self {
        let subject = common_name("tr ca 1");
        let mut draft = Self::new(2, "tr root", &subject, &pki.issuing_key, &pki.root_key);
        draft.not_after = utc("311110061159Z");
        draft.extensions.extend(authority(0));
        draft
    }

    /// As [`Pki::new`] makes them.
    pub(crate) fn root(pki: &Pki) -> Self {
        let subject = common_name("tr root");
        let mut draft = Self::new(1, "tr root", &subject, &pki.root_key, &pki.root_key);
        draft.not_after = utc("461106061159Z");
        draft.extensions.extend(authority(1));
        draft
    }

    /// The extension with this last arc.
    pub(crate) fn ext(&mut self, last: u8) -> &mut (Vec<u8>, bool, Vec<u8>) {
        let found = self.extensions.iter_mut().find(|ext| ext.0 == [0x55, 0x1d, last]);
        found.unwrap()
    }

    pub(crate) fn remove(&mut self, last: u8) {
        self.extensions.retain(|ext| ext.0 != [0x55, 0x1d, last]);
    }

    pub(crate) fn tbs(&self) -> Vec<u8> {
        let spki = [
            tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
            tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        ];
        let spki = [tlv(0x30, &spki.concat()), tlv(3, &[&[0][..], &self.key].concat())];
        let mut extensions = Vec::new();
        for (id, critical, value) in &self.extensions {
            let mut content = tlv(6, id);
            if *critical {
                content.extend([1, 1, 0xff]);
            }
            content.extend(tlv(4, value));
            extensions.extend(tlv(0x30, &content));
        }
        let parts = [
            self.version.clone(),
            tlv(2, &self.serial),
            self.inner_algorithm.clone(),
            self.issuer.clone(),
            tlv(0x30, &[&self.not_before[..], &self.not_after].concat()),
            self.subject.clone(),
            tlv(0x30, &spki.concat()),
            tlv(0xa3, &tlv(0x30, &extensions)),
            self.tail.clone(),
        ];
        tlv(0x30, &parts.concat())
    }

    pub(crate) fn sign(&self, key: &Key) -> Vec<u8> {
        let tbs = self.tbs();
        let Ok(pair) = key.sign(&tbs);
        let integer = |digits: &[u8]| {
            let digits: Vec<u8> = digits.iter().copied().skip_while(|octet| *octet == 0).collect();
            let sign: &[u8] = if digits[0] < 0x80 { &[] } else { &[0] };
            tlv(2, &[sign, &digits].concat())
        };
        let value = tlv(0x30, &[integer(&pair[..32]), integer(&pair[32..])].concat());
        let bits = tlv(3, &[&[0][..], &value].concat());
        tlv(0x30, &[tbs, self.outer_algorithm.clone(), bits].concat())
    }
}

pub(crate) fn policies(policy: &[u8]) -> (Vec<u8>, bool, Vec<u8>) {
    ext(POLICIES, false, tlv(0x30, &tlv(0x30, &tlv(6, policy))))
}

fn authority(path_len: u8) -> [(Vec<u8>, bool, Vec<u8>); 3] {
    [
        ext(USAGE, true, vec![3, 2, 1, 6]),
        ext(BASIC, true, tlv(0x30, &[1, 1, 0xff, 2, 1, path_len])),
        policies(oid::POLICY_INDIVIDUAL),
    ]
}
