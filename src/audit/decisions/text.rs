//! Writes values as JSON, straight into bytes: a record is made on the path of a check, where a general
//! serializer would cost more than the decision.
//!
//! Invariant: what is written here is JSON without a line break, and reads back as the value that it was.

use crate::domain::{AttributeValue, Timestamp};
use std::io::Write as _;

/// Writes a text with its quotes.
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    if value.bytes().all(is_plain) {
        out.extend_from_slice(value.as_bytes());
    } else {
        for character in value.chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                control if control < ' ' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(control));
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

fn is_plain(byte: u8) -> bool {
    b' ' <= byte && byte != b'"' && byte != b'\\'
}

/// Writes a count.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// Writes one of the bank's own attributes; `null` is one that was said and cannot be read.
pub(super) fn attribute(out: &mut Vec<u8>, value: AttributeValue<'_>) {
    match value {
        AttributeValue::Bool(true) => out.extend_from_slice(b"true"),
        AttributeValue::Bool(false) => out.extend_from_slice(b"false"),
        // As few digits as tell it from every other number.
        AttributeValue::Number(value) if value.is_finite() => {
            let _ = write!(out, "{value:?}");
        }
        AttributeValue::Text(value) => text(out, value),
        AttributeValue::Number(_) | AttributeValue::Invalid => out.extend_from_slice(b"null"),
    }
}

/// Writes an instant in RFC 3339, with its quotes.
pub(super) fn instant(out: &mut Vec<u8>, instant: Timestamp) {
    let (seconds, nanos) = (instant.as_second(), instant.subsec_nanosecond());
    let usual = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
    let Some((seconds, nanos)) = usual else {
        let _ = write!(out, "\"{instant}\"");
        return;
    };
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut written = *b"\"0000-00-00T00:00:00";
    let parts = [
        (1, year / 100),
        (3, year % 100),
        (6, month),
        (9, day),
        (12, of_day / 3600),
        (15, of_day / 60 % 60),
        (18, of_day % 60),
    ];
    for (at, value) in parts {
        if let Some([tens, ones]) = written.get_mut(at..at + 2) {
            *tens = b'0' + u8::try_from(value / 10).unwrap_or_default();
            *ones = b'0' + u8::try_from(value % 10).unwrap_or_default();
        }
    }
    out.extend_from_slice(&written);
    if 0 < nanos {
        let mut fraction = *b".000000000";
        let mut rest = nanos;
        for digit in fraction.iter_mut().skip(1).rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        out.extend_from_slice(&fraction);
    }
    out.extend_from_slice(b"Z\"");
}

/// Year, month and day of a day after 1970, in the Gregorian calendar. Years begin in March here, so
/// that the day that comes every four years is a year's last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march = days + 719_468;
    let era = from_march / 146_097;
    let of_era = from_march % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_text_reads_back_and_none_breaks_the_line() {
        for value in ["", "plain", "\"\\\n\r\t\0\u{1f}\u{7f}", "Zoë \u{2028} \u{1f600}"] {
            let json = written(|out| text(out, value));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
            assert!(!json.contains('\n'));
        }
    }

    #[test]
    fn counts_and_numbers_read_back_to_the_last_bit() {
        for value in [0, 7, 10, 12_345, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
        for value in [0.0, -0.0, 0.1, 1.0 / 3.0, 1e300, 5e-324, -123.456, 1e21] {
            let json = written(|out| attribute(out, AttributeValue::Number(value)));
            assert_eq!(json.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{json}");
            assert!(serde_json::from_str::<f64>(&json).is_ok(), "{json}");
        }
    }

    #[test]
    fn every_instant_reads_back_from_the_first_year_to_the_last() {
        let mut second = -62_135_596_800;
        while second < 253_402_000_000 {
            for nanos in [0, 1, 123_456_789, 999_999_999] {
                let given = Timestamp::new(second, nanos).unwrap();
                let json = written(|out| instant(out, given));
                let read: Timestamp = json.trim_matches('"').parse().unwrap();
                assert_eq!(read, given, "{json}");
            }
            second += 86_400 * 13 + 3_661;
        }
    }
}
