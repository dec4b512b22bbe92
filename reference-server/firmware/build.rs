//! On the host: puts `memory.x` where the linker script of `cortex-m-rt` looks for it, and makes the keys and
//! certificates that the self-test uses, with `tr-pki` itself, so that they follow the one profile definition.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use tr_auth_rustcrypto::RustCrypto;
use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
use tr_pki::{Certificate, Role, Signer, Verifier};

#[path = "src/key.rs"]
mod key;
use key::Key;

/// When the certificates begin: 2026-11-01.
const BEGIN: i64 = 1_793_491_200;
/// When the self-test runs: a day later.
const NOW: i64 = BEGIN + 86_400;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rustc-link-search={}", env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/key.rs");
    let mut data = Data::default();
    writeln!(
        data.source,
        "/// When the self-test runs, Unix time.\npub const NOW: i64 = {NOW};"
    )?;
    certificates(&mut data)?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("data.rs"), data.source)?;
    Ok(())
}

fn certificates(data: &mut Data) -> Result<(), Box<dyn Error>> {
    let root = Key::new(&scalar("root")).ok_or("no scalar")?;
    let ca = Key::new(&scalar("issuing CA")).ok_or("no scalar")?;
    let root_der = self_signed(Role::Root, "tr test root", &issue(1), &root, &RustCrypto)?;
    let root_authority = Authority::new(Certificate::parse(&root_der)?, &root)?;
    let ca_der = root_authority.issue(
        &Request {
            role: Role::IssuingCa,
            public_key: &ca.public_key()?,
            subject: Subject::Authority { name: "tr test" },
        },
        &issue(2),
        &RustCrypto,
    )?;
    let authority = Authority::new(Certificate::parse(&ca_der)?, &ca)?;
    for (number, role, name, identity) in [
        (1, Role::Pos, "POS", "urn:uuid:3a1f0cf4-6b0e-4c7e-9a43-0d1c5f2b7a01"),
        (
            2,
            Role::Backend,
            "BACKEND",
            "urn:uuid:3a1f0cf4-6b0e-4c7e-9a43-0d1c5f2b7a02",
        ),
    ] {
        let secret = scalar(name);
        let public_key = Key::new(&secret).ok_or("no scalar")?.public_key()?;
        let subject = Subject::Entity { identity, hosts: &[] };
        let request = Request {
            role,
            public_key: &public_key,
            subject,
        };
        data.octets(name, &authority.issue(&request, &issue(number), &RustCrypto)?)?;
        data.octets(&format!("{name}_KEY"), &secret)?;
    }
    data.octets("ROOT", &root_der)?;
    data.octets("CA", &ca_der)
}

fn issue(number: u32) -> Issue {
    Issue {
        number,
        random: [0xA5; 12],
        not_before: BEGIN,
        lifetime: None,
    }
}

/// Keys that everyone can know: nothing but this test uses them.
fn scalar(name: &str) -> [u8; 32] {
    RustCrypto.sha256(&[b"tr firmware self-test ", name.as_bytes()])
}

#[derive(Default)]
struct Data {
    source: String,
}

impl Data {
    fn octets(&mut self, name: &str, octets: &[u8]) -> Result<(), Box<dyn Error>> {
        writeln!(
            self.source,
            "/// {} octets.\npub static {name}: [u8; {}] = {octets:?};",
            octets.len(),
            octets.len()
        )?;
        Ok(())
    }
}
