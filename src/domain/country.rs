//! Countries: the officially assigned alpha-2 codes of ISO 3166-1.

use std::fmt;

/// Every officially assigned code, in order, a space between two. `UK`, `EU` and `XK` are reserved
/// or user-assigned and so not here.
const CODES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ \
    EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW \
    GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY \
    KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV \
    MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY \
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG \
    TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM \
    ZW";

/// How many codes there are.
const COUNT: usize = 249;

/// For each pair of letters, one more than the code's place in [`CODES`], or 0. Lets a request's
/// country be read without a search.
#[expect(clippy::indexing_slicing, reason = "runs in the compiler, which refuses a bad index")]
const PLACES: [u8; 26 * 26] = {
    let bytes = CODES.as_bytes();
    let mut places = [0; 26 * 26];
    let mut place = 0;
    while place < COUNT {
        let (first, second) = (bytes[place * 3], bytes[place * 3 + 1]);
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 255 codes")]
        let one_more = place as u8 + 1;
        places[(first - b'A') as usize * 26 + (second - b'A') as usize] = one_more;
        place += 1;
    }
    places
};

/// A country of residence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(u8); // INVARIANT: a place in `CODES`.

/// Why a text is no country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a country is an officially assigned ISO 3166-1 code of two capital letters, such as `GB`")]
pub struct InvalidCountry;

impl Country {
    /// How many countries there are; [`Country::index`] is below it.
    pub const COUNT: usize = COUNT;

    /// Reads two capital letters.
    ///
    /// # Errors
    /// When the code is not officially assigned: `UK` for example, or `gb`.
    pub fn parse(text: &str) -> Result<Self, InvalidCountry> {
        let &[first, second] = text.as_bytes() else { return Err(InvalidCountry) };
        if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
            return Err(InvalidCountry);
        }
        let pair = usize::from(first - b'A') * 26 + usize::from(second - b'A');
        match PLACES.get(pair) {
            Some(&one_more) if 0 < one_more => Ok(Self(one_more - 1)),
            _ => Err(InvalidCountry),
        }
    }

    /// Its place in the alphabetical list of codes: 0 up to [`Country::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The two letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        let start = self.index() * 3;
        CODES.get(start..start + 2).unwrap_or_default()
    }

    /// Every country, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        CODES.split(' ').filter_map(|code| Self::parse(code).ok())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({})", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assigned_code_reads_back_and_no_other_pair_of_letters_is_a_country() {
        let mut known = 0;
        for first in b'A'..=b'Z' {
            for second in b'A'..=b'Z' {
                let code = String::from_utf8_lossy(&[first, second]).into_owned();
                match Country::parse(&code) {
                    Ok(country) => {
                        assert_eq!(country.code(), code);
                        known += 1;
                    }
                    Err(InvalidCountry) => assert!(!CODES.split(' ').any(|other| other == code)),
                }
            }
        }
        assert_eq!(known, Country::COUNT);
        assert_eq!(Country::all().count(), Country::COUNT);
    }

    #[test]
    fn what_people_type_instead_of_a_code_is_refused() {
        for refused in ["UK", "EU", "XK", "gb", "GBR", "G", "", "G B", "ＧＢ", "826"] {
            assert_eq!(Country::parse(refused), Err(InvalidCountry), "{refused}");
        }
    }
}
