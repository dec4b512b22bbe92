//! Makes a network: keys, certificates, settings, database. The one place where a key ceremony happens.

use core::net::{IpAddr, SocketAddr};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use p12_keystore::{
    Certificate as P12Certificate, KeyStore, KeyStoreEntry, Pkcs12ImportPolicy, PrivateKey, PrivateKeyChain,
};
use tr_auth_aws_lc::AwsLc;
use tr_hsm::{Device, Vault, sealed};
use tr_pki::ca::{self, Authority, Issue, Request, Subject};
use tr_pki::{Certificate, HostName, Role, Verifier, pem};
use zeroize::Zeroizing;

use crate::cli::Hidden;
use crate::config::{Addresses, CONFIG_VERSION, Certificates, Config, DataDir, DeviceLimits, write_private};
use crate::hsm::{self, Hsm};
use crate::ledger::Policy;

/// Binds the wrapped K_DB to its purpose.
pub const K_DB_AAD: &[u8] = b"tr-net k-db 1";
/// Binds the sealed code of the handout to its purpose.
pub const CODE_AAD: &[u8] = b"tr-net handout code 1";
/// The PBKDF2 iterations of the handout; its code has 100 random bits, so few would do.
const P12_ITERATIONS: u32 = 10_000;

/// What to make.
#[derive(Debug)]
pub struct Plan {
    /// The passphrase of the root's key store, if it is to have one of its own.
    pub root_passphrase: Option<Hidden>,
    /// Where the backend will listen.
    pub backend: SocketAddr,
    /// Where the gateway will listen.
    pub gateway: SocketAddr,
    /// Money and its rules.
    pub policy: Policy,
    /// Life times of certificates.
    pub certificates: Certificates,
    /// The time, Unix seconds.
    pub now: i64,
}

/// What was made, for the person who made it.
#[derive(Debug)]
pub struct Made {
    /// SHA-256 of the root certificate: what terminals are told to trust.
    pub root: [u8; 32],
    /// Role and file of each certificate.
    pub certificates: Vec<(Role, String)>,
}

/// Makes a network in an empty directory. `progress` is told each step before it is done.
///
/// # Errors
/// When the directory is in use or a step fails; the message says which. The directory is left as it was.
pub fn init(path: &Path, passphrase: &str, plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<(DataDir, Made)> {
    let data = DataDir::create(path)?;
    match fill(&data, passphrase, plan, progress) {
        Ok(made) => Ok((data, made)),
        Err(error) => {
            data.discard();
            Err(error)
        }
    }
}

fn fill(data: &DataDir, passphrase: &str, plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<Made> {
    let mut made = Made {
        root: [0; 32],
        certificates: Vec::new(),
    };

    progress("root CA: key and certificate (then offline)");
    let root_passphrase = plan.root_passphrase.as_ref().map_or(passphrase, Hidden::expose);
    let root_hsm = hsm::create(&data.file("root/root.keys"), root_passphrase, hsm::ROOT_KEYS)?;
    let root_signer = hsm::signer(&root_hsm, hsm::ROOT_CA);
    let root = ca::self_signed(Role::Root, "tr root", &issue(1, plan.now)?, &root_signer, &AwsLc)?;
    made.root = AwsLc.sha256(&[&root]);
    keep(data, &mut made, Role::Root, &root)?;

    progress("backend: key store, issuing CA, class CA, identity");
    let backend_hsm = hsm::create(&data.file("backend/backend.keys"), passphrase, hsm::BACKEND_KEYS)?;
    let issuing_key = backend_hsm.public_key(hsm::ISSUING_CA.newest())?;
    let issuing = Authority::new(Certificate::parse(&root)?, &root_signer)?.issue(
        &Request {
            role: Role::IssuingCa,
            public_key: &issuing_key,
            subject: Subject::Authority { name: "tr CA 1" },
        },
        &issue(2, plan.now)?,
        &AwsLc,
    )?;
    keep(data, &mut made, Role::IssuingCa, &issuing)?;
    let issuing_signer = hsm::signer(&backend_hsm, hsm::ISSUING_CA);
    let identity = Authority::new(Certificate::parse(&issuing)?, &issuing_signer)?.issue(
        &Request {
            role: Role::Backend,
            public_key: &backend_hsm.public_key(hsm::IDENTITY.newest())?,
            subject: Subject::Entity {
                identity: &new_identity()?,
                hosts: &[],
            },
        },
        &issue(1, plan.now)?,
        &AwsLc,
    )?;
    keep(data, &mut made, Role::Backend, &identity)?;

    progress("gateway: key store; TLS class certificates");
    let gateway_hsm = hsm::create(&data.file("gateway/gateway.keys"), passphrase, hsm::GATEWAY_KEYS)?;
    let class_signer = hsm::signer(&backend_hsm, hsm::CLASS_CA);
    let class_ca = ca::self_signed(Role::ClassCa, "tr class", &issue(1, plan.now)?, &class_signer, &AwsLc)?;
    keep(data, &mut made, Role::ClassCa, &class_ca)?;
    let class_authority = Authority::new(Certificate::parse(&class_ca)?, &class_signer)?;
    let class = |role, number, key: &[u8; 65], address: Option<IpAddr>| -> Result<Vec<u8>> {
        let octets;
        let hosts: &[HostName<'_>] = match address {
            None => &[],
            Some(IpAddr::V4(ip)) => {
                octets = ip.octets();
                &[HostName::Ip(&octets)]
            }
            Some(IpAddr::V6(ip)) => &[HostName::Ip(&ip.octets())],
        };
        let subject = Subject::Entity {
            identity: &new_identity()?,
            hosts,
        };
        Ok(class_authority.issue(
            &Request {
                role,
                public_key: key,
                subject,
            },
            &issue(number, plan.now)?,
            &AwsLc,
        )?)
    };
    let gateway_key = gateway_hsm.public_key(hsm::CLASS.newest())?;
    let backend_key = backend_hsm.public_key(hsm::CLASS.newest())?;
    keep(
        data,
        &mut made,
        Role::ClassGateway,
        &class(Role::ClassGateway, 2, &gateway_key, Some(plan.gateway.ip()))?,
    )?;
    keep(
        data,
        &mut made,
        Role::ClassBackend,
        &class(Role::ClassBackend, 3, &backend_key, Some(plan.backend.ip()))?,
    )?;

    progress("handout for terminals (PKCS#12), K_DB, settings");
    handout(data, &backend_hsm, &class_ca, |key| class(Role::ClassPos, 4, key, None))?;
    let mut k_db = tr_hsm::Secret::default();
    let mut wrapped = [0; sealed::WRAPPED_LEN];
    let wrapped = backend_hsm.generate_data_key(hsm::K_DB, K_DB_AAD, &mut k_db, &mut wrapped)?;
    write_private(&data.file("backend/k-db.wrapped"), wrapped)?;
    data.write_config(&Config {
        version: CONFIG_VERSION,
        backend: plan.backend,
        gateway: plan.gateway,
        policy: plan.policy.clone(),
        certificates: plan.certificates.clone(),
        limits: DeviceLimits::default(),
        addresses: Addresses::default(),
    })?;
    Ok(made)
}

/// The class certificate and key of all points of sale, for installers: made here, kept nowhere else, encrypted under a
/// code that only the backend's key store can give out again.
fn handout(
    data: &DataDir,
    hsm: &Hsm,
    class_ca: &[u8],
    certify: impl FnOnce(&[u8; 65]) -> Result<Vec<u8>>,
) -> Result<()> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| anyhow!("no key pair was made"))?;
    let public: [u8; 65] = pair
        .public_key()
        .as_ref()
        .try_into()
        .context("unexpected form of a public key")?;
    let certificate = certify(&public)?;
    let pkcs8 = pair
        .to_pkcs8v1()
        .map_err(|_| anyhow!("the key pair has no PKCS#8 form"))?;
    let chain = PrivateKeyChain::new(
        &AwsLc.sha256(&[&public])[..8],
        PrivateKey::from_der(pkcs8.as_ref())?,
        [
            P12Certificate::from_der(&certificate)?,
            P12Certificate::from_der(class_ca)?,
        ],
    );
    let mut store = KeyStore::new();
    store.add_entry("tr class pos", KeyStoreEntry::PrivateKeyChain(chain));
    let code = new_code()?;
    let bundle = store
        .writer(&code)
        .encryption_iterations(P12_ITERATIONS)
        .mac_iterations(P12_ITERATIONS)
        .write()?;
    write_private(&data.file("handout/pos-class.p12"), &bundle)?;
    let mut sealed = vec![0; code.len() + sealed::OVERHEAD];
    let sealed = hsm.seal(hsm::STORAGE, CODE_AAD, code.as_bytes(), &mut sealed)?;
    write_private(&data.file("backend/handout-code.sealed"), sealed)
}

/// What an opened handout holds.
#[derive(Debug)]
pub struct Handout {
    /// The private key's scalar.
    pub scalar: tr_hsm::Secret,
    /// The class certificate, DER.
    pub certificate: Vec<u8>,
    /// The class CA's certificate, DER.
    pub class_ca: Vec<u8>,
}

/// Opens a handout.
///
/// # Errors
/// When the code is wrong, the file is damaged, or it holds something else than one key and its two certificates.
pub fn open_handout(bundle: &[u8], code: &str) -> Result<Handout> {
    let store = KeyStore::from_pkcs12(bundle, code, Pkcs12ImportPolicy::Relaxed)
        .map_err(|error| anyhow!("the handout does not open: its code is wrong or the file was altered ({error})"))?;
    let (_, chain) = store.private_key_chain().context("the handout holds no private key")?;
    let [certificate, class_ca] = chain.certs() else {
        return Err(anyhow!(
            "the handout holds {} certificates, 2 are needed",
            chain.certs().len()
        ));
    };
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, chain.key().as_der())
        .map_err(|_| anyhow!("the handout's key is no P-256 key"))?;
    let scalar: EcPrivateKeyBin<'_> = pair
        .private_key()
        .as_be_bytes()
        .map_err(|_| anyhow!("the handout's key cannot be read"))?;
    let mut secret = tr_hsm::Secret::default();
    secret.copy_from_slice(
        scalar
            .as_ref()
            .get(..tr_hsm::SECRET_LEN)
            .context("the handout's key is too short")?,
    );
    Ok(Handout {
        scalar: secret,
        certificate: certificate.as_der().to_vec(),
        class_ca: class_ca.as_der().to_vec(),
    })
}

/// Reads the handout's code back, for the operator who hands it over.
///
/// # Errors
/// When the file is missing or was not sealed by this key store.
pub fn handout_code(data: &DataDir, hsm: &Hsm) -> Result<Zeroizing<String>> {
    let path = data.file("backend/handout-code.sealed");
    let sealed = fs::read(&path).with_context(|| unreadable(&path))?;
    let mut clear = Zeroizing::new(vec![0; sealed.len()]);
    let code = hsm
        .unseal(hsm::STORAGE, CODE_AAD, &sealed, &mut clear)
        .with_context(|| unsealable(&path))?;
    Ok(Zeroizing::new(String::from_utf8_lossy(code).into_owned()))
}

/// Unwraps K_DB.
///
/// # Errors
/// When the file is missing or was not wrapped by this key store.
pub fn k_db(data: &DataDir, hsm: &Hsm) -> Result<tr_hsm::Secret> {
    let path = data.file("backend/k-db.wrapped");
    let wrapped = fs::read(&path).with_context(|| unreadable(&path))?;
    let mut clear = tr_hsm::Secret::default();
    hsm.unwrap_data_key(hsm::K_DB, K_DB_AAD, &wrapped, &mut clear)
        .with_context(|| unsealable(&path))?;
    Ok(clear)
}

/// Reads a certificate of the network by its role.
///
/// # Errors
/// When the file is missing or no certificate.
pub fn certificate(data: &DataDir, role: Role) -> Result<Vec<u8>> {
    let path = data.file(&file_name(role));
    let text = fs::read_to_string(&path).with_context(|| unreadable(&path))?;
    pem::decode(pem::Label::Certificate, &text)
        .with_context(|| format!("{} is no certificate; restore it from a backup", path.display()))
}

fn unreadable(path: &Path) -> String {
    format!("cannot read {}; restore it from a backup", path.display())
}

fn unsealable(path: &Path) -> String {
    format!(
        "cannot open {}: it was altered, or belongs to another key store; restore it from a backup",
        path.display()
    )
}

fn file_name(role: Role) -> String {
    format!("certificates/{}.pem", role.name())
}

fn keep(data: &DataDir, made: &mut Made, role: Role, der: &[u8]) -> Result<()> {
    write_private(
        &data.file(&file_name(role)),
        pem::encode(pem::Label::Certificate, der)?.as_bytes(),
    )?;
    made.certificates.push((role, file_name(role)));
    Ok(())
}

/// The terms of a certificate that begins now and lasts as long as its profile allows.
fn issue(number: u32, now: i64) -> Result<Issue> {
    Ok(Issue {
        number,
        random: random()?,
        not_before: now,
        lifetime: None,
    })
}

/// Fresh random octets from the system.
///
/// # Errors
/// When the system gives none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut octets = [0; N];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| anyhow!("the system gives no random octets"))?;
    Ok(octets)
}

/// A new identity: a random UUID (RFC 9562, version 4) as a URN.
///
/// # Errors
/// When the system gives no random octets.
pub fn new_identity() -> Result<String> {
    let mut octets: [u8; 16] = random()?;
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    let hex = crate::ui::hex(&octets);
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    Ok(format!("urn:uuid:{a}-{b}-{c}-{d}-{e}"))
}

/// A code of 20 characters from an alphabet of 32 without look-alikes: 100 random bits.
fn new_code() -> Result<Zeroizing<String>> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let octets: [u8; 20] = random()?;
    let text = octets
        .iter()
        .enumerate()
        .fold(Zeroizing::new(String::new()), |mut text, (at, octet)| {
            if at > 0 && at % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(octet & 31)]));
            text
        });
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_random_uuids() {
        let (one, two) = (new_identity().unwrap(), new_identity().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), "urn:uuid:00000000-0000-4000-8000-000000000000".len());
        assert_eq!(&one[23..24], "4");
    }

    #[test]
    fn codes_have_four_groups_of_five() {
        let code = new_code().unwrap();
        assert!(code.split('-').all(|group| group.len() == 5), "{}", *code);
        assert_eq!(code.len(), 23);
    }
}
