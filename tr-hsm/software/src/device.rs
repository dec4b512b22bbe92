//! Use of keys.

use aws_lc_rs::{
    agreement::{self, ECDH_P256, UnparsedPublicKey},
    rand::SystemRandom,
};
use p256::ecdsa::Signature;
use tr_hsm::{Device, KeyRef, Label, PUBLIC_KEY_LEN, SECRET_LEN, SIGNATURE_LEN, Secret, Usage, sealed::Sealed};
use zeroize::Zeroize;

use crate::{Store, StoreError, aead, keys::Ready};

impl Device for Store {
    fn public_key(&self, key: KeyRef) -> Result<[u8; PUBLIC_KEY_LEN], StoreError> {
        let (_, found) = self.key(key)?;
        match &found.ready {
            Ready::Sign { public, .. } | Ready::Agree { public, .. } => Ok(*public),
            _ => Err(found.refuse(key, Usage::Sign)),
        }
    }

    fn sign(&self, key: KeyRef, message: &[u8]) -> Result<[u8; SIGNATURE_LEN], StoreError> {
        const FAILED: StoreError = StoreError::Crypto { operation: "sign" };
        let (_, found) = self.key(key)?;
        let Ready::Sign { pair, .. } = &found.ready else {
            return Err(found.refuse(key, Usage::Sign));
        };
        let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| FAILED)?;
        let signature = Signature::from_slice(signature.as_ref()).map_err(|_| FAILED)?;
        Ok(signature.normalize_s().to_bytes().into())
    }

    fn agree(&self, key: KeyRef, peer: &[u8; PUBLIC_KEY_LEN], shared: &mut Secret) -> Result<(), StoreError> {
        shared.zeroize();
        let (_, found) = self.key(key)?;
        let Ready::Agree { private, .. } = &found.ready else {
            return Err(found.refuse(key, Usage::Agree));
        };
        let peer = UnparsedPublicKey::new(&ECDH_P256, peer.as_slice());
        agreement::agree(private, peer, StoreError::BadPoint, |raw| {
            let raw = raw.first_chunk::<SECRET_LEN>().ok_or(StoreError::BadPoint)?;
            shared.copy_from_slice(raw);
            Ok(())
        })
    }

    fn seal<'o>(&self, label: Label, aad: &[u8], clear: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], StoreError> {
        let (version, found) = self.key(label.newest())?;
        let Ready::Seal(key) = &found.ready else {
            return Err(found.refuse(label.newest(), Usage::Seal));
        };
        aead::seal(key, version, aad, clear, out)
    }

    fn unseal<'o>(
        &self,
        label: Label,
        aad: &[u8],
        sealed: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8], StoreError> {
        let sealed = Sealed::parse(sealed)?;
        let key = label.at(sealed.version);
        let (_, found) = self.key(key)?;
        let Ready::Seal(ready) = &found.ready else {
            return Err(found.refuse(key, Usage::Seal));
        };
        aead::open(ready, &sealed, aad, out)
    }
}
