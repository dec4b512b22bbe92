// The certificates of the example in the README, which includes this file.

/// Signs with a key in memory.
pub(crate) struct Key(p256::ecdsa::SigningKey);

impl tr_pki::Signer for Key {
    type Error = core::convert::Infallible;

    fn public_key(&self) -> Result<[u8; 65], Self::Error> {
        let point = self.0.verifying_key().to_sec1_point(false);
        Ok(point.as_bytes().try_into().expect("an uncompressed point"))
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Self::Error> {
        let signature: p256::ecdsa::Signature = p256::ecdsa::signature::Signer::sign(&self.0, message);
        Ok(signature.normalize_s().to_bytes().into())
    }
}

/// An issuing CA's certificate, a POS and a backend.
pub(crate) fn world() -> (Vec<u8>, (Key, Vec<u8>), (Key, Vec<u8>)) {
    use tr_auth_rustcrypto::RustCrypto;
    use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
    use tr_pki::{Certificate, Role, Signer};

    let key = |seed: u8| Key(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a scalar"));
    let issue = |number: u32| Issue {
        number,
        random: [7; 12],
        not_before: 1_795_219_200 - 3600,
        lifetime: None,
    };
    let (root_key, ca_key) = (key(1), key(2));
    let root = self_signed(Role::Root, "root", &issue(1), &root_key, &RustCrypto).expect("a root");
    let certify = |certificate: &[u8], by: &Key, role, of: &Key, subject, number| {
        let public_key = of.public_key().expect("a key");
        let request = Request {
            role,
            public_key: &public_key,
            subject,
        };
        let certificate = Certificate::parse(certificate).expect("a CA's certificate");
        let authority = Authority::new(certificate, by).expect("a CA");
        authority
            .issue(&request, &issue(number), &RustCrypto)
            .expect("a certificate")
    };
    let entity = |identity| Subject::Entity { identity, hosts: &[] };
    let ca = certify(
        &root,
        &root_key,
        Role::IssuingCa,
        &ca_key,
        Subject::Authority { name: "CA" },
        2,
    );
    let (pos_key, backend_key) = (key(11), key(12));
    let pos = entity("urn:uuid:00000000-0000-4000-8000-000000000001");
    let pos = certify(&ca, &ca_key, Role::Pos, &pos_key, pos, 1);
    let backend = entity("urn:uuid:00000000-0000-4000-8000-00000000000b");
    let backend = certify(&ca, &ca_key, Role::Backend, &backend_key, backend, 2);
    (ca, (pos_key, pos), (backend_key, backend))
}
