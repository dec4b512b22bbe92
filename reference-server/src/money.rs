//! Amounts as people write them: `12.50` in minor units and back.

use anyhow::{Result, ensure};

/// Digits after the decimal point of an ISO 4217 currency; two, where the standard's list says nothing else.
fn exponent(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// Reads an amount such as `12.50` or `12` as minor units.
///
/// # Errors
/// When it is not a plain decimal number of at most the currency's digits after the point, or above 9,999,999,999.
pub fn parse(text: &str, currency: &str) -> Result<i64> {
    let digits = exponent(currency);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    ensure!(
        !whole.is_empty()
            && whole.len() <= 10
            && all_digits(whole)
            && all_digits(fraction)
            && fraction.len() <= digits
            && !(text.contains('.') && fraction.is_empty()),
        "`{text}` is not an amount of {currency}: write it like {}",
        format(1250, currency)
    );
    let joined = format!("{whole}{fraction:0<digits$}");
    Ok(joined.parse()?)
}

/// Writes minor units with the point in its place, without the currency.
#[must_use]
pub fn format(minor: i64, currency: &str) -> String {
    let digits = exponent(currency);
    let sign = if minor < 0 { "-" } else { "" };
    let all = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = all.split_at(all.len() - digits);
    if digits == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_they_are_written() {
        for (text, currency, minor) in [
            ("12.50", "USD", 1250),
            ("12.5", "USD", 1250),
            ("12", "USD", 1200),
            ("0.01", "USD", 1),
            ("12", "JPY", 12),
            ("1.005", "KWD", 1005),
        ] {
            assert_eq!(parse(text, currency).unwrap(), minor);
        }
        assert_eq!(format(1250, "USD"), "12.50");
        assert_eq!(format(-5, "USD"), "-0.05");
        assert_eq!(format(12, "JPY"), "12");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1,50",
            "1.005",
            "1e3",
            "12345678901",
            " 1",
            "١",
        ] {
            assert!(parse(text, "USD").is_err(), "{text}");
        }
    }
}
