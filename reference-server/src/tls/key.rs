//! A TLS private key that stays in its HSM.

use core::fmt;
use std::sync::Arc;

use rustls::sign::{Signer, SigningKey};
use rustls::{Error, OtherError, SignatureAlgorithm, SignatureScheme};
use tr_hsm::{Device, KeyRef, SIGNATURE_LEN};

/// One P-256 key of one device, as rustls wants it.
pub(super) struct HsmKey<D> {
    device: Arc<D>,
    key: KeyRef,
}

impl<D> HsmKey<D> {
    pub(super) fn new(device: Arc<D>, key: KeyRef) -> Self {
        Self { device, key }
    }
}

impl<D> fmt::Debug for HsmKey<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HsmKey({})", self.key)
    }
}

impl<D: Device + Send + Sync + 'static> SigningKey for HsmKey<D> {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256).then(|| {
            let signer: Box<dyn Signer> = Box::new(Self::new(Arc::clone(&self.device), self.key));
            signer
        })
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl<D: Device + Send + Sync + 'static> Signer for HsmKey<D> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match self.device.sign(self.key, message) {
            Ok(signature) => Ok(ecdsa_der(&signature)),
            Err(error) => Err(Error::Other(OtherError(Arc::new(error)))),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// `r ‖ s` as the `ECDSA-Sig-Value` of RFC 3279 §2.2.3: SEQUENCE of two INTEGERs. At most 72 octets, so every length
/// is one octet.
fn ecdsa_der(signature: &[u8; SIGNATURE_LEN]) -> Vec<u8> {
    let (r, s) = signature.split_at(SIGNATURE_LEN / 2);
    let mut body = Vec::with_capacity(72);
    for number in [r, s] {
        let zeros = number.iter().take_while(|octet| **octet == 0).count();
        let magnitude = number.get(zeros..).unwrap_or_default();
        // A leading bit 1 would read as a negative number; zero is one octet.
        let pad = magnitude.first().is_none_or(|octet| octet & 0x80 != 0);
        let length = magnitude.len().saturating_add(usize::from(pad));
        body.extend([0x02, u8::try_from(length).unwrap_or(0)]);
        body.extend(pad.then_some(0));
        body.extend_from_slice(magnitude);
    }
    let mut der = vec![0x30, u8::try_from(body.len()).unwrap_or(0)];
    der.append(&mut body);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal_and_positive() {
        let mut signature = [0_u8; SIGNATURE_LEN];
        signature[31] = 0x7f;
        signature[32] = 0x80;
        let der = ecdsa_der(&signature);
        assert_eq!(der[..5], [0x30, 38, 0x02, 1, 0x7f]);
        assert_eq!(der[5..9], [0x02, 33, 0, 0x80]);
        assert_eq!(der.len(), 40);
        assert_eq!(ecdsa_der(&[0; SIGNATURE_LEN]), [0x30, 6, 0x02, 1, 0, 0x02, 1, 0]);
        assert_eq!(ecdsa_der(&[0xff; SIGNATURE_LEN]).len(), 72);
    }
}
