//! Payment functions.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use tr_hsm::{CHECK_VALUE_DIGITS, CardData, KeyRef, MAC_LEN, Payment, Usage, decimalise};
use zeroize::Zeroizing;

use crate::{Store, StoreError, keys::Ready};

impl Payment for Store {
    fn mac(&self, key: KeyRef, data: &[u8]) -> Result<[u8; MAC_LEN], StoreError> {
        let (_, found) = self.key(key)?;
        match &found.ready {
            Ready::Mac(ready) => tag(ready, data),
            _ => Err(found.refuse(key, Usage::Mac)),
        }
    }

    fn verify_mac(&self, key: KeyRef, data: &[u8], mac: &[u8; MAC_LEN]) -> Result<(), StoreError> {
        equal(&self.mac(key, data)?, mac)
    }

    fn check_value(&self, key: KeyRef, card: &CardData, digits: &mut [u8]) -> Result<(), StoreError> {
        let (_, found) = self.key(key)?;
        let Ready::CheckValue(ready) = &found.ready else {
            return Err(found.refuse(key, Usage::CheckValue));
        };
        if !CHECK_VALUE_DIGITS.contains(&digits.len()) {
            return Err(StoreError::DigitCount { found: digits.len() });
        }
        let mac = Zeroizing::new(tag(ready, card.message())?);
        decimalise(&mac, digits);
        Ok(())
    }

    fn verify_check_value(&self, key: KeyRef, card: &CardData, digits: &[u8]) -> Result<(), StoreError> {
        let mut right = Zeroizing::new([0; *CHECK_VALUE_DIGITS.end()]);
        let right = right
            .get_mut(..digits.len())
            .ok_or(StoreError::DigitCount { found: digits.len() })?;
        self.check_value(key, card, right)?;
        equal(right, digits)
    }
}

fn tag(key: &hmac::Key, data: &[u8]) -> Result<[u8; MAC_LEN], StoreError> {
    let tag = hmac::sign(key, data);
    tag.as_ref().try_into().map_err(|_| StoreError::Crypto {
        operation: "make a MAC",
    })
}

fn equal(right: &[u8], given: &[u8]) -> Result<(), StoreError> {
    if bool::from(right.ct_eq(given)) {
        Ok(())
    } else {
        Err(StoreError::AuthenticationFailed)
    }
}

#[cfg(test)]
mod tests {
    use tr_hsm::{Attributes, Label, Origin, Secret};

    use super::*;
    use crate::{Params, keys::Key};

    /// A store with a key of 32 octets 0, 1, … 31.
    fn with_key(usage: Usage, test: impl FnOnce(&Store, KeyRef)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let store = Store::create(path, b"pass", Params::INSECURE_FOR_TESTS).unwrap();
        let mut secret = Box::new(Secret::default());
        for (octet, number) in secret.iter_mut().zip(0..) {
            *octet = number;
        }
        let attributes = Attributes::new(usage, usage.algorithm());
        let key = Key::new(attributes, Origin::Imported, secret).unwrap();
        let label = Label::literal("known");
        store.change(|keys| keys.add(label, key)).unwrap();
        test(&store, label.newest());
    }

    // Both values come from Python's hmac module.

    #[test]
    fn mac_is_hmac_sha256() {
        with_key(Usage::Mac, |store, key| {
            assert_eq!(
                store.mac(key, b"what is authenticated").unwrap(),
                [
                    0x71, 0x41, 0x74, 0x61, 0xdd, 0x40, 0x2d, 0x27, 0xe8, 0x4b, 0xe7, 0x7a, 0xd6, 0x22, 0xf0, 0xb6,
                    0x17, 0x56, 0x55, 0x76, 0x75, 0x94, 0xf7, 0x09, 0xab, 0x88, 0xca, 0xd1, 0x0b, 0x66, 0x54, 0x16
                ]
            );
        });
    }

    #[test]
    fn check_value_is_the_documented_one() {
        with_key(Usage::CheckValue, |store, key| {
            let card = CardData::new(b"6270000000000001", b"2912", b"101").unwrap();
            let mut digits = [0; 9];
            store.check_value(key, &card, &mut digits).unwrap();
            assert_eq!(&digits, b"624791104");
        });
    }
}
