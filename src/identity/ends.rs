//! Reads from a certificate, or from a list of revoked ones, when it ends: the two dates that everybody
//! forgets, for those who watch the server.
//!
//! Decides nothing: who is let in is up to `rustls`, which reads the same bytes by itself. What does not
//! read here has no end to show.

use crate::domain::Timestamp;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version of a certificate, which stands first if it stands there at all.
const VERSION: u8 = 0xa0;

/// When a certificate ends (RFC 5280, 4.1).
pub(super) fn of_certificate(der: &[u8]) -> Option<Timestamp> {
    let mut fields = Der(within(within(der)?)?);
    fields.skip_if(VERSION)?;
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        fields.take(tag)?; // The serial number, the signature's algorithm, the issuer.
    }
    let mut validity = Der(fields.take(SEQUENCE)?);
    validity.time()?;
    validity.time()
}

/// When a list of revoked certificates ends (RFC 5280, 5.1).
pub(super) fn of_revocations(der: &[u8]) -> Option<Timestamp> {
    let mut fields = Der(within(within(der)?)?);
    fields.skip_if(INTEGER)?; // The version.
    for tag in [SEQUENCE, SEQUENCE] {
        fields.take(tag)?; // The signature's algorithm, the issuer.
    }
    fields.time()?;
    fields.time()
}

/// What is in the sequence that the bytes begin with.
fn within(der: &[u8]) -> Option<&[u8]> {
    Der(der).take(SEQUENCE)
}

/// What is left of a sequence of values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value, whatever it is: its tag, and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            // The length of the length; nothing here needs more than 4 bytes.
            long @ 0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
                (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }

    fn skip_if(&mut self, tag: u8) -> Option<()> {
        if self.0.first() == Some(&tag) {
            self.next()?;
        }
        Some(())
    }

    /// The next value, which is a time.
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, content) = self.next()?;
        let digits = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match tag {
            UTC_TIME => {
                let (short, rest) = digits.split_at_checked(2)?;
                // 50 to 99 are of the last century.
                let century = if short < "50" { "20" } else { "19" };
                (format!("{century}{short}"), rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = digits.split_at_checked(4)?;
                (year.to_owned(), rest)
            }
            _ => return None,
        };
        if rest.len() != 10 {
            return None;
        }
        let two = |at: usize| rest.get(at..at + 2);
        let (month, day) = (two(0)?, two(2)?);
        let (hour, minute, second) = (two(4)?, two(6)?, two(8)?);
        format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
        KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    fn instant(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn both_forms_of_a_date_are_read_from_real_certificates_and_lists() {
        for (year, expected) in [(2031, "2031-06-07T00:00:00Z"), (2101, "2101-06-07T00:00:00Z")] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(year, 6, 7);
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
            let key = KeyPair::generate().unwrap();
            let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
            assert_eq!(of_certificate(issuer.der()), instant(expected));
            let list = CertificateRevocationListParams {
                this_update: date_time_ymd(2020, 1, 1),
                next_update: date_time_ymd(year, 6, 7),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: vec![],
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let list = list.signed_by(&issuer).unwrap();
            assert_eq!(of_revocations(list.der()), instant(expected));
            // One in place of the other, or any part of one, is nothing, and no panic.
            assert_eq!(of_revocations(issuer.der()), None);
            for length in 0..120 {
                assert_eq!(of_certificate(issuer.der().get(..length).unwrap()), None);
            }
        }
    }

    #[test]
    fn what_is_no_date_has_no_end_to_show() {
        for bad in
            [b"\x17\x0d2601010000-0Z".as_slice(), b"\x17\x01Z", b"\x16\x0d260101000000Z", b"\x17"]
        {
            assert_eq!(Der(bad).time(), None);
        }
        assert_eq!(Der(b"\x17\x0d990101000000Z").time(), instant("1999-01-01T00:00:00Z"));
    }
}
