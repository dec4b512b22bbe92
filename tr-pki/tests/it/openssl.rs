//! OpenSSL agrees. These tests fail where it is not installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tr_pki::csr::{self, Csr};
use tr_pki::pem::{self, Label, PemError};
use tr_pki::{Role, oid};

use crate::support::{DAY, HOSTS, Key, NOW, Pki, Provider, issue};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, label: Label, der: &[u8]) {
        let text = pem::encode(label, der).unwrap();
        assert_eq!(pem::decode(label, &text).unwrap(), der);
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Runs openssl here; gives whether it was content, and all it said.
    fn openssl(&self, arguments: &str) -> (bool, String) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("openssl must be installed to run this test");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn agree(&self, arguments: &str) -> String {
        let (content, said) = self.openssl(arguments);
        assert!(content, "openssl {arguments}\n{said}");
        said
    }

    fn disagree(&self, arguments: &str) {
        let (content, said) = self.openssl(arguments);
        assert!(!content, "openssl {arguments}\n{said}");
    }
}

fn folder(name: &str, pki: &Pki) -> Folder {
    let folder = Folder::new(name);
    folder.write("root.pem", Label::Certificate, &pki.root);
    folder.write("issuing.pem", Label::Certificate, &pki.issuing);
    folder.write("class.pem", Label::Certificate, &pki.class);
    for role in Role::ALL.into_iter().filter(|role| !role.is_ca()) {
        let leaf = pki.entity(role, &Key::new(9), &issue(0x0102_0304, NOW - DAY));
        folder.write(&format!("{role}.pem"), Label::Certificate, &leaf);
    }
    folder
}

#[test]
fn openssl_verifies_every_role_strictly() {
    let pki = Pki::new();
    let folder = folder("verify", &pki);
    let strict = format!("verify -x509_strict -check_ss_sig -attime {NOW}");
    for role in Role::ALL.into_iter().filter(|role| !role.is_ca()) {
        let class = role.profile().issuer == Role::ClassCa;
        let (chain, policy) = match class {
            true => ("-CAfile class.pem", 2),
            false => ("-CAfile root.pem -untrusted issuing.pem", 1),
        };
        let arc = "2.25.57455239376446990404463266802384131570";
        let policy = format!("-policy {arc}.{policy} -policy_check -explicit_policy");
        folder.agree(&format!("{strict} {chain} {policy} {role}.pem"));
        let other = policy.replace(".1 ", ".3 ").replace(".2 ", ".3 ");
        folder.disagree(&format!("{strict} {chain} {other} {role}.pem"));
        let tls = |purpose: &str| format!("{strict} {chain} -purpose {purpose} {role}.pem");
        if !class {
            folder.disagree(&tls("sslserver"));
            folder.disagree(&tls("sslclient"));
            continue;
        }
        folder.agree(&tls("sslclient"));
        if role.profile().hosts {
            folder.agree(&tls("sslserver -verify_hostname gateway.example.net"));
            folder.agree(&tls("sslserver -verify_ip 127.0.0.1"));
            folder.disagree(&tls("sslserver -verify_hostname other.example.net"));
        } else {
            folder.disagree(&tls("sslserver"));
        }
    }
}

#[test]
fn openssl_prints_what_we_mean() {
    let pki = Pki::new();
    let folder = folder("text", &pki);
    let text = folder.agree("x509 -noout -text -in pos.pem");
    for expected in [
        "Version: 3 (0x2)",
        "01:02:03:04:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5",
        "Issuer: CN = tr ca 1",
        "Not Before: Nov 20 06:12:00 2026 GMT",
        "Not After : Feb 18 06:11:59 2027 GMT",
        "ASN1 OID: prime256v1",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Subject Alternative Name: critical\n                URI:urn:uuid:6ba7b810-",
        "X509v3 Extended Key Usage: critical",
        "2.25.57455239376446990404463266802384131570.16",
        "Policy: 2.25.57455239376446990404463266802384131570.1\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let text = folder.agree("x509 -noout -text -in class-gateway.pem");
    for expected in [
        "X509v3 Extended Key Usage: \n",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "DNS:gateway.example.net, IP Address:127.0.0.1",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert_eq!(HOSTS.len(), 2);
    let text = folder.agree("x509 -noout -text -in issuing.pem");
    assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
    assert!(text.contains("Certificate Sign, CRL Sign"), "{text}");
    assert_eq!(oid::ARC.len(), 19);
}

#[test]
fn openssl_reads_our_requests_and_we_read_its() {
    let folder = Folder::new("requests");
    let key = Key::new(9);
    let mut buffer = [0; csr::MAX_WRITTEN_LEN];
    let ours = csr::write(&key, &mut buffer).unwrap();
    folder.write("ours.pem", Label::CertificateRequest, ours);
    let said = folder.agree("req -verify -noout -text -in ours.pem");
    assert!(said.contains("verify OK"), "{said}");
    assert!(said.contains("Subject: \n"), "{said}");

    folder.write("key.pem", Label::PrivateKey, &key.pkcs8());
    for extra in ["-subj /CN=shop", "-subj / -addext subjectAltName=URI:urn:x:1"] {
        folder.agree(&format!("req -new -key key.pem -sha256 {extra} -out theirs.pem"));
        let text = fs::read_to_string(folder.0.join("theirs.pem")).unwrap();
        let theirs = pem::decode(Label::CertificateRequest, &text).unwrap();
        let theirs = Csr::parse(&theirs).unwrap();
        assert_eq!(theirs.public_key(), &key.public());
        assert_eq!(theirs.verify(&Provider), Ok(()));
    }
}

#[test]
fn pem_has_a_label() {
    let text = pem::encode(Label::Certificate, &[1, 2, 3]).unwrap();
    assert_eq!(text, "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n");
    let expected = Label::PrivateKey;
    assert_eq!(pem::decode(expected, &text), Err(PemError::Label { expected }));
    assert!(matches!(pem::decode(expected, "AQID"), Err(PemError::Text(_))));
}
