//! What a device and the gateway's far side exchange in clear inside class TLS: enrolment, handshake, sealed frames.

use super::{consistent, layer, message};
use crate::value::{Binary, Digest, Number, Text, Token, TransactionId, choice};

layer! {
    /// What a device and the backend send each other through the gateway, which can read it.
    Outer {
        Enrol, "`C enrol`";
        EnrolAnswer, "`I enrol`";
        Authenticate, "`C authenticate`";
        AuthenticateAnswer, "`I authenticate`";
        Sealed, "`D sealed`";
        ErrorAnswer, "`I error`";
    }
}

message! {
    /// `C enrol`: a device asks for its individual certificate. The voucher's secret is never sent.
    Enrol = Command "enrol", signatures 0..=0, check consistent;
    "csr" csr: required Binary<'a>, "PKCS#10 request (RFC 2986), DER.";
    "id" id: required TransactionId, "The request's id; any, since nothing is claimed.";
    "mac" mac: required Digest, "HMAC-SHA-256 of the octets of `csr` under the voucher's secret.";
    "voucher" voucher: required Text<'a>, "The voucher's reference, which is no secret.";
}

message! {
    /// `I enrol`: the certificate, and the chain up to the root, which the device compares with the digest it was given.
    EnrolAnswer = Information "enrol", signatures 0..=0, check consistent;
    "certificate" certificate: required Binary<'a>, "The device's certificate, DER.";
    "digest" digest: required Digest, "SHA-256 of the request before its signatures.";
    "issuer" issuer: required Binary<'a>, "The issuing CA's certificate, DER.";
    "re" re: required TransactionId, "The request's id.";
    "root" root: required Binary<'a>, "The root's certificate, DER.";
}

/// The step of a handshake that a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// EDHOC message_1.
    One,
    /// EDHOC message_2.
    Two,
    /// EDHOC message_3.
    Three,
    /// EDHOC message_4.
    Four,
    /// An EDHOC error message.
    Error,
}

choice!(
    Step,
    "step",
    One = "1",
    Two = "2",
    Three = "3",
    Four = "4",
    Error = "error"
);

message! {
    /// `C authenticate`: a message of the initiator.
    Authenticate = Command "authenticate", signatures 0..=0,
        check |m| if matches!(m.step, Step::Two | Step::Four) { Err("step") } else { Ok(()) };
    "id" id: required TransactionId, "The request's id; any, since nothing is claimed.";
    "message" message: required Binary<'a>, "The EDHOC message (RFC 9528), as it is.";
    "step" step: required Step, "`1`, `3`, or `error`.";
}

message! {
    /// `I authenticate`: a message of the responder.
    AuthenticateAnswer = Information "authenticate", signatures 0..=0,
        check |m| if matches!(m.step, Step::One | Step::Three) { Err("step") } else { Ok(()) };
    "digest" digest: required Digest, "SHA-256 of the request before its signatures.";
    "message" message: required Binary<'a>, "The EDHOC message (RFC 9528), as it is.";
    "re" re: required TransactionId, "The request's id.";
    "step" step: required Step, "`2`, `4`, or `error`.";
}

message! {
    /// `D sealed`: inner frames under a key of the session, in either direction.
    Sealed = Data "sealed", signatures 0..=0, check consistent;
    "index" index: required Number, "The message's number in its direction; it is in the AAD.";
    "payload" payload: required Binary<'a>, "Ciphertext and tag of one C or I frame and, after some, one D frame.";
}

message! {
    /// `I error`: what was wrong. In clear it answers an outer frame; sealed and signed, an inner one.
    ErrorAnswer = Information "error", signatures 0..=1,
        check |m| if m.digest.is_some() && m.re.is_none() { Err("re") } else { Ok(()) };
    "code" code: required Token<'a>, "An error code of the list; others are to be treated as `failed`.";
    "digest" digest: optional Digest, "SHA-256 of the request before its signatures, if there was one.";
    "key" key: optional Text<'a>, "The key of the field that is wrong, as it stands.";
    "offset" offset: optional Number, "The byte offset of what is wrong.";
    "re" re: optional TransactionId, "The request's id, if it could be read.";
}

/// The codes of `I error` beside those of [`ErrorKind::code`](crate::ErrorKind::code).
///
/// Codes tell an honest sender what to do and an attacker nothing: everything that has to do with who the sender is
/// (chain, validity, revocation, role, signature, seal, session, voucher, MAC) has the one code
/// [`ErrorCode::AuthenticationFailed`] and no offset or key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// The sender is not who it must be, or what it sent is not what it sent. Deliberately no more than that.
    AuthenticationFailed,
    /// The original's id is not below the command's own.
    BadOriginal,
    /// The sender asks too much or too fast; the same later may succeed. Nothing was executed.
    Busy,
    /// The id belongs to a command with other bytes.
    ChangedRepeat,
    /// Something failed at the receiver. Whether it was executed is not known: repeat, or ask for the status.
    Failed,
    /// The session is limited to repeats, status queries and renewal. Nothing was executed.
    LimitedSession,
    /// The message may not come now: before the handshake, twice, or from the wrong side.
    OutOfPlace,
    /// The id is below the low-water mark and will not be executed now. Whether it was before, is not said.
    TooOld,
    /// The backend cannot be reached. Nothing was executed.
    Unavailable,
}

choice!(
    ErrorCode,
    "error code",
    AuthenticationFailed = "auth-failed",
    BadOriginal = "bad-original",
    Busy = "busy",
    ChangedRepeat = "changed-repeat",
    Failed = "failed",
    LimitedSession = "limited-session",
    OutOfPlace = "out-of-place",
    TooOld = "too-old",
    Unavailable = "unavailable",
);

impl ErrorCode {
    /// The code as the value of `code`.
    #[must_use]
    pub fn token(self) -> Token<'static> {
        Token::known(self.as_str())
    }

    /// The code that `token` is, `None` if it is another.
    #[must_use]
    pub fn from_token(token: Token<'_>) -> Option<Self> {
        crate::value::Value::from_text(token.as_str()).ok()
    }
}

impl From<crate::lifecycle::Refusal> for ErrorCode {
    fn from(refusal: crate::lifecycle::Refusal) -> Self {
        use crate::lifecycle::Refusal;
        match refusal {
            Refusal::TooOld => Self::TooOld,
            Refusal::ChangedRepeat => Self::ChangedRepeat,
            Refusal::BadOriginal => Self::BadOriginal,
            Refusal::LimitedSession => Self::LimitedSession,
            Refusal::Revoked => Self::AuthenticationFailed,
        }
    }
}

impl ErrorAnswer<'static> {
    /// An error with a code and nothing else.
    #[must_use]
    pub fn of(code: ErrorCode) -> Self {
        Self::with(code.token())
    }

    fn with(code: Token<'static>) -> Self {
        Self {
            code,
            digest: None,
            key: None,
            offset: None,
            re: None,
            extra: super::Extra::default(),
        }
    }
}

impl<'a> ErrorAnswer<'a> {
    /// What was wrong with a frame or message, by code, offset and key.
    #[must_use]
    pub fn about(error: &'a crate::Error) -> Self {
        let offset = u64::try_from(error.offset).ok().and_then(Number::new);
        let key = error.key.as_ref().and_then(|key| Text::new(key.as_str()).ok());
        ErrorAnswer {
            offset,
            key,
            ..ErrorAnswer::with(Token::known(error.kind.code()))
        }
    }

    /// The same error, as the answer to a request.
    #[must_use]
    pub fn to(self, re: TransactionId, digest: Digest) -> Self {
        Self {
            re: Some(re),
            digest: Some(digest),
            ..self
        }
    }
}
