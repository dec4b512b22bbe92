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
