//! The life of keys.

use core::ops::ControlFlow;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use tr_hsm::{
    Algorithm, Attributes, Device, KeyInfo, KeyRef, Label, Origin, SECRET_LEN, Secret, Usage, Vault, Version,
    sealed::{Sealed, WRAPPED_LEN},
};
use zeroize::Zeroize;

use crate::{
    Store, StoreError, aead,
    keys::{Key, Ready},
};

impl Vault for Store {
    fn generate(&self, label: Label, attributes: Attributes) -> Result<KeyInfo, StoreError> {
        self.change(|keys| keys.add(label, Key::generate(attributes)?))
    }

    fn import_p256(&self, label: Label, attributes: Attributes, scalar: &Secret) -> Result<KeyInfo, StoreError> {
        if attributes.algorithm != Algorithm::P256 {
            return Err(StoreError::Attributes { attributes });
        }
        let mut secret = Box::new(Secret::default());
        secret.copy_from_slice(scalar.as_slice());
        let key = Key::new(attributes, Origin::Imported, secret)?;
        self.change(|keys| keys.add(label, key))
    }

    fn rotate(&self, label: Label) -> Result<KeyInfo, StoreError> {
        self.change(|keys| keys.rotate(label))
    }

    fn info(&self, key: KeyRef) -> Result<KeyInfo, StoreError> {
        let (version, found) = self.key(key)?;
        Ok(found.info(key.label, version))
    }

    fn list(&self, visit: &mut dyn FnMut(&KeyInfo) -> ControlFlow<()>) -> Result<(), StoreError> {
        let _ = self.keys().iter().try_for_each(|info| visit(&info));
        Ok(())
    }

    fn destroy(&self, label: Label, version: Version) -> Result<(), StoreError> {
        self.change(|keys| keys.destroy(label, version))
    }

    fn generate_data_key<'o>(
        &self,
        label: Label,
        aad: &[u8],
        clear: &mut Secret,
        wrapped: &'o mut [u8],
    ) -> Result<&'o [u8], StoreError> {
        clear.zeroize();
        let (version, found) = self.key(label.newest())?;
        let Ready::Wrap(key) = &found.ready else {
            return Err(found.refuse(label.newest(), Usage::Wrap));
        };
        let mut data = Secret::default();
        aws_lc_rs::rand::fill(data.as_mut_slice()).map_err(|_| StoreError::Crypto {
            operation: "give random octets",
        })?;
        let wrapped = aead::seal(key, version, aad, data.as_slice(), wrapped)?;
        clear.copy_from_slice(data.as_slice());
        Ok(wrapped)
    }

    fn unwrap_data_key(&self, label: Label, aad: &[u8], wrapped: &[u8], clear: &mut Secret) -> Result<(), StoreError> {
        clear.zeroize();
        let sealed = Sealed::parse(wrapped)?;
        if sealed.ciphertext.len() != SECRET_LEN {
            return Err(StoreError::WrappedLength {
                expected: WRAPPED_LEN,
                found: wrapped.len(),
            });
        }
        let key = label.at(sealed.version);
        let (_, found) = self.key(key)?;
        let Ready::Wrap(ready) = &found.ready else {
            return Err(found.refuse(key, Usage::Wrap));
        };
        aead::open(ready, &sealed, aad, clear.as_mut_slice())?;
        Ok(())
    }

    fn health(&self, key: KeyRef) -> Result<(), StoreError> {
        // Both calls must meet the same version, also while it rotates.
        let key = self.info(key)?.key_ref();
        let mut challenge = b"tr-hsm health ".to_vec();
        challenge.extend_from_slice(&aead::random::<32>()?);
        let signature = self.sign(key, &challenge)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.public_key(key)?)
            .verify(&challenge, &signature)
            .map_err(|_| StoreError::Crypto {
                operation: "verify its own signature",
            })
    }
}
