//! `tr-hsm`: what of it is code and not a trait: names of keys, shapes of sealed data, the framing of card data.

use tr_hsm::{CardData, Label, decimalise, sealed};

use super::{Outcome, check};

/// Names a key, frames a card's data, takes sealed data apart.
///
/// # Errors
/// When a result is not what it must be.
pub fn work(pan: &[u8]) -> Outcome {
    let label = Label::new("card-check-value")?;
    check(label.as_str() == "card-check-value")?;
    check(Label::new("no such\nlabel").is_err())?;

    let card = CardData::new(pan, b"2912", b"101")?;
    check(card.message().ends_with(b"=2912101"))?;
    let mut digits = [0; 3];
    decimalise(&[7; 32], &mut digits);
    check(digits.iter().all(u8::is_ascii_digit))?;

    let mut octets = [0; sealed::OVERHEAD + 8];
    check(sealed::Sealed::parse(&octets).is_err())?;
    octets[..5].copy_from_slice(&[sealed::FORMAT, 0, 0, 0, 9]);
    let parts = sealed::Sealed::parse(&octets)?;
    check(parts.version.get() == 9 && parts.ciphertext.len() == 8)
}
