//! What a column's name says: the field of a request that its values are.
//!
//! The names are those of every other form of a request; those of a customer may have `customer.`
//! before them. A name that is none is the bank's own column, and carried through unread.
//!
//! Invariant: a name in one of our groups (`customer.`, `holding.`, `holdings.`) that means nothing
//! is refused. A misspelt `holding.term_end` would be unsaid, and what is unsaid there is *open*.

/// A field of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'n> {
    /// `customer.id`.
    Id,
    /// `relationship`.
    Relationship,
    /// `country`.
    Country,
    /// `segment`.
    Segment,
    /// `us_person`.
    UsPerson,
    /// `date_of_birth`.
    DateOfBirth,
    /// `vulnerable`.
    Vulnerable,
    /// `channel`.
    Channel,
    /// `device`.
    Device,
    /// Part of the holding of the asked offer's product.
    Holding(Part),
    /// Part of the holding of a product.
    Holdings(&'n str, Part),
    /// One of the bank's own attributes.
    Attribute(&'n str),
    /// A group of fields, such as `attributes`, as a single value.
    Group(&'n str),
}

/// Part of a holding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, as one value; only `null` can be read so.
    Whole,
    /// `status`.
    Status,
    /// `accepted_at`.
    AcceptedAt,
    /// `term_end`.
    TermEnd,
    /// `covered_by`.
    CoveredBy,
    /// `unit_count`.
    UnitCount,
}

/// Why a name in one of our groups is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a request: customer.id, relationship, country, segment, us_person, \
     date_of_birth, vulnerable, channel, device, attributes.NAME, and holding.FIELD or \
     holdings.PRODUCT.FIELD with status, accepted_at, term_end, covered_by, unit_count"
)]
pub(super) struct UnknownField(pub(super) String);

impl<'n> Field<'n> {
    /// What a column's name says; `None` for a column of the bank's own.
    ///
    /// # Errors
    /// For a name that looks like one of ours and is none.
    pub(super) fn of(name: &'n str) -> Result<Option<Self>, UnknownField> {
        let unknown = || UnknownField(name.to_owned());
        let inner = name.strip_prefix("customer.");
        Ok(Some(match inner.unwrap_or(name) {
            "id" => Self::Id,
            "relationship" => Self::Relationship,
            "country" => Self::Country,
            "segment" => Self::Segment,
            "us_person" => Self::UsPerson,
            "date_of_birth" => Self::DateOfBirth,
            "vulnerable" => Self::Vulnerable,
            "channel" if inner.is_none() => Self::Channel,
            "device" if inner.is_none() => Self::Device,
            "holding" => Self::Holding(Part::Whole),
            "attributes" | "holdings" | "customer" => Self::Group(name),
            other => match other.split_once('.') {
                Some(("attributes", attribute)) if !attribute.is_empty() => {
                    Self::Attribute(attribute)
                }
                Some(("holding", part)) => Self::Holding(Part::of(part).ok_or_else(unknown)?),
                Some(("holdings", path)) => {
                    let (product, part) = match path.split_once('.') {
                        Some((product, part)) => (product, Part::of(part).ok_or_else(unknown)?),
                        None => (path, Part::Whole),
                    };
                    if product.is_empty() {
                        return Err(unknown());
                    }
                    Self::Holdings(product, part)
                }
                _ if inner.is_some() => return Err(unknown()),
                _ => return Ok(None),
            },
        }))
    }

    /// Whether it is about the holding of the asked offer's product.
    #[must_use]
    pub(super) fn is_holding(self) -> bool {
        matches!(self, Self::Holding(_))
    }
}

impl Part {
    /// Which parts of a holding a value says, as bits: one that is said for the whole says each of them.
    #[must_use]
    pub(super) fn says(self, is_said: bool) -> u32 {
        match self {
            Self::Whole if is_said => (1 << (Self::UnitCount as u32 + 1)) - 1,
            part => 1 << part as u32,
        }
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "status" => Self::Status,
            "accepted_at" => Self::AcceptedAt,
            "term_end" => Self::TermEnd,
            "covered_by" => Self::CoveredBy,
            "unit_count" => Self::UnitCount,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_field_a_column_of_the_bank_or_refused() {
        for (name, expected) in [
            ("id", Ok(Some(Field::Id))),
            ("customer.id", Ok(Some(Field::Id))),
            ("customer.country", Ok(Some(Field::Country))),
            ("channel", Ok(Some(Field::Channel))),
            ("holding.term_end", Ok(Some(Field::Holding(Part::TermEnd)))),
            ("customer.holding.status", Ok(Some(Field::Holding(Part::Status)))),
            ("holdings.kis.status", Ok(Some(Field::Holdings("kis", Part::Status)))),
            ("attributes.a.b", Ok(Some(Field::Attribute("a.b")))),
            ("account_no", Ok(None)),
            ("Country", Ok(None)),
            ("holding.term_ends", Err(UnknownField("holding.term_ends".to_owned()))),
            ("customer.contry", Err(UnknownField("customer.contry".to_owned()))),
            ("customer.channel", Err(UnknownField("customer.channel".to_owned()))),
            ("holdings.kis.stat", Err(UnknownField("holdings.kis.stat".to_owned()))),
        ] {
            assert_eq!(Field::of(name), expected, "{name}");
        }
    }
}
