//! Receipts: the signed command, the signed answer and the certificates that prove both, in one text file.
//!
//! ```text
//! receipt = command-frame answer-frame 3*certificate      terminal, backend, issuing CA, as PEM, then the root
//! ```
//!
//! Nothing in it is secret: the command holds only salted hashes of card data.

use core::fmt::Write as _;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tr_auth_aws_lc::AwsLc;
use tr_pki::{Certificate, Options, Role, Time as Validity, Verifier, pem};
use tr_protocol::frame::Frame;
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::Inner;

use crate::money;

/// Longest receipt that is read, in octets.
const MAX_RECEIPT: usize = 64 * 1024;
/// The longest grace time that a network may give an expired terminal, in seconds: `config::MAX_GRACE_DAYS`.
const MAX_GRACE: i64 = 90 * 86_400;
/// The first line, which a version would change.
const TITLE: &str = "tr receipt 1";

/// Puts a receipt together. `certificates` are terminal, backend, issuing CA and root, DER.
///
/// # Errors
/// When a certificate cannot be written as PEM.
pub fn write(command: &str, answer: &str, certificates: [&[u8]; 4]) -> Result<String> {
    let mut text = format!("{TITLE}\n\n{command}{answer}");
    for der in certificates {
        let _ = write!(text, "{}", pem::encode(pem::Label::Certificate, der)?);
    }
    Ok(text)
}

/// What a receipt proves.
#[derive(Debug)]
pub struct Proof {
    /// What was asked and decided, for people.
    pub facts: Vec<(String, String)>,
}

/// Checks a receipt against the root with this SHA-256, offline: both signatures, both certificates as of the time of the
/// decision, and that the answer is to this command.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(text: &str, root: &[u8; 32]) -> Result<Proof> {
    ensure!(
        text.len() <= MAX_RECEIPT,
        "the file has {} octets, a receipt at most {MAX_RECEIPT}",
        text.len()
    );
    let frames = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix("\n\n"));
    let frames = frames.with_context(|| format!("this is no receipt: it does not begin with `{TITLE}`"))?;
    let (command, rest) = Frame::parse(frames.as_bytes()).map_err(|error| anyhow!("the command: {error}"))?;
    let (answer, rest) = Frame::parse(rest).map_err(|error| anyhow!("the answer: {error}"))?;
    let rest = core::str::from_utf8(rest).context("the certificates")?;
    let [terminal, backend, issuing, root_der] = certificates(rest)?;
    ensure!(
        AwsLc.sha256(&[&root_der]) == *root,
        "the receipt's root is not the one that you trust"
    );

    let asked = Inner::parse(&command).map_err(|error| anyhow!("the command: {error}"))?;
    let told = Inner::parse(&answer).map_err(|error| anyhow!("the answer: {error}"))?;
    let digest = AwsLc.sha256(&[command.before_signatures()]);
    let (facts, time) = facts(&asked, &told, &digest)?;

    let views = Chain {
        issuing: Certificate::parse(&issuing).context("the issuing CA's certificate")?,
        root: Certificate::parse(&root_der).context("the root's certificate")?,
        time,
    };
    let who = views
        .signed(&command, &terminal, &[Role::Pos, Role::VirtualCard])
        .context("the command")?;
    ensure!(
        asked.terminal().is_some_and(|named| named.to_urn() == who.as_bytes()),
        "the command names another terminal than signed it"
    );
    let by = views
        .signed(&answer, &backend, &[Role::Backend])
        .context("the answer")?;
    let mut all = vec![("terminal".to_owned(), who), ("backend".to_owned(), by)];
    all.extend(facts);
    Ok(Proof { facts: all })
}

struct Chain<'a> {
    issuing: Certificate<'a>,
    root: Certificate<'a>,
    time: i64,
}

impl Chain<'_> {
    /// The signer's identity, once certificate and signature hold.
    fn signed(&self, frame: &Frame<'_>, der: &[u8], roles: &[Role]) -> Result<String> {
        let leaf = Certificate::parse(der).context("its certificate")?;
        // A receipt outlives certificates: they had to be good when the decision was made. A terminal's may have been
        // within its grace time, since what it then got was the repeat of an answer.
        let time = Validity::known(self.time);
        let grace = if roles.contains(&Role::Backend) { 0 } else { MAX_GRACE };
        let options = Options { time, grace, roles };
        let valid = tr_pki::validate(&[leaf, self.issuing], &[self.root], &options, &AwsLc)?;
        let signature = frame.signature(1).context("it is not signed")?;
        ensure!(
            AwsLc.sha256(&[der]) == signature.certificate.0,
            "it names another certificate than is here"
        );
        ensure!(
            AwsLc
                .verify(valid.public_key, signature.signed, &signature.signature)
                .is_ok(),
            "its signature does not verify"
        );
        Ok(valid.identity.to_owned())
    }
}

fn certificates(text: &str) -> Result<[Vec<u8>; 4]> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let ders = text
        .split_inclusive(END)
        .map(|block| pem::decode(pem::Label::Certificate, block));
    let ders = ders
        .collect::<Result<Vec<_>, _>>()
        .context("a certificate cannot be read")?;
    let found = ders.len();
    ders.try_into()
        .map_err(|_| anyhow!("the receipt holds {found} certificates, 4 are needed"))
}

/// What question and answer say, once they belong together, and the time of the decision.
fn facts(asked: &Inner<'_>, told: &Inner<'_>, digest: &[u8; 32]) -> Result<(Vec<(String, String)>, i64)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    let time = match (asked, told) {
        (Inner::Authorise(asked), Inner::AuthoriseAnswer(told)) => {
            ensure!(
                told.digest.0 == *digest && told.re == asked.id,
                "the answer is to another command"
            );
            let money = |amount: tr_protocol::value::Amount| amount_text(amount, told.currency.as_str());
            fact("sale", asked.id.to_string());
            fact("asked", money(asked.amount)?);
            let outcome = match told.outcome {
                Outcome::Approved => "approved",
                Outcome::Partial => "approved in part",
                Outcome::Declined => "declined",
            };
            fact("outcome", outcome.to_owned());
            fact("amount", money(told.amount)?);
            if let Some(code) = told.code {
                fact("code", code.as_str().to_owned());
            }
            if let Some(rule) = told.rule {
                fact("rule", rule.as_str().to_owned());
            }
            told.time
        }
        (Inner::Reversal(asked), Inner::ReversalAnswer(told)) => {
            ensure!(
                told.digest.0 == *digest && told.re == asked.id,
                "the answer is to another command"
            );
            fact("reversal", asked.id.to_string());
            fact("of sale", asked.original.to_string());
            fact("outcome", told.outcome.as_str().to_owned());
            if let (Some(amount), Some(currency)) = (told.amount, told.currency) {
                fact("given back", amount_text(amount, currency.as_str())?);
            }
            told.time
        }
        _ => bail!("a receipt is for a sale or a reversal"),
    };
    fact("time", String::from_utf8_lossy(&time.to_text()).into_owned());
    Ok((facts, time.unix()))
}

/// An amount with its currency.
///
/// # Errors
/// When it is larger than any ledger's.
pub fn amount_text(amount: tr_protocol::value::Amount, currency: &str) -> Result<String> {
    let minor = i64::try_from(amount.minor_units())?;
    Ok(format!("{} {currency}", money::format(minor, currency)))
}
