//! Which column is which field: by name, or as a small mapping file says.
//!
//! ```yaml
//! columns: {cust_no: customer.id, land: country, segment: null}  # null: not read, only carried
//! constants: {channel: EMAIL, attributes.online_banking: true}   # the same for every row
//! ```
//!
//! Invariant: no field is read from two places, and nothing that the file says is ignored.

use super::error::JobError;
use super::field::Field;
use super::row::Cell;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The columns that the output adds, in order.
pub(super) const ADDED: [&str; 9] = [
    "offer",
    "outcome",
    "reasons",
    "suspensions",
    "exemptions",
    "alternate",
    "valid_until",
    "revision",
    "as_of",
];

/// A mapping file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    #[serde(default)]
    columns: BTreeMap<String, Option<String>>,
    #[serde(default)]
    constants: BTreeMap<String, Value>,
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// When it is none, or names what no request has.
    pub fn read(text: &str) -> Result<Self, JobError> {
        // `NO` is a country.
        let options = serde_saphyr::options! { strict_booleans: true };
        let mapping: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| JobError::Usage(format!("the mapping file: {error}")))?;
        let names = mapping.columns.values().flatten().chain(mapping.constants.keys());
        for name in names {
            if field(name)?.is_none() {
                let unknown = super::field::UnknownField(name.clone());
                return Err(JobError::Usage(format!("the mapping file: {unknown}")));
            }
        }
        if let Some(name) = mapping.constants.keys().find(|name| is_id(name)) {
            return Err(JobError::Usage(format!(
                "the mapping file: `{name}` is another one in every row, and no constant"
            )));
        }
        Ok(mapping)
    }

    /// The name of the field that a column is; `None` for one that is only carried.
    pub(super) fn name<'a>(&'a self, column: &'a str) -> Option<&'a str> {
        match self.columns.get(column) {
            None => Some(column),
            Some(name) => name.as_deref(),
        }
    }

    /// Whether a column gives way to one of the same name that the output adds.
    pub(super) fn gives_way(&self, column: &str) -> bool {
        ADDED.contains(&column) && matches!(self.columns.get(column), Some(None))
    }

    /// The constants, by the names of their fields.
    pub(super) fn constants(&self) -> Vec<(&str, Cell<'_>)> {
        let cell = |value| match value {
            &Value::Null => Cell::Null,
            &Value::Bool(value) => Cell::Bool(value),
            Value::Number(number) => {
                Cell::Number(number.as_f64().unwrap_or(f64::NAN), number.to_string().into())
            }
            Value::String(text) => Cell::Text(text.into()),
            Value::Array(_) | Value::Object(_) => Cell::Other(value.to_string().into()),
        };
        self.constants.iter().map(|(name, value)| (name.as_str(), cell(value))).collect()
    }

    /// Checks the columns of a file that has a header, and whose rows an output carries.
    ///
    /// # Errors
    /// As [`check_fields`](Self::check_fields), or when one has the name of a column that the output adds.
    pub fn check(&self, columns: &[String]) -> Result<(), JobError> {
        Self::check_twice(columns)?;
        for column in columns {
            if ADDED.contains(&column.as_str()) && !self.gives_way(column) {
                return Err(usage(format!(
                    "the input has a column `{column}`, and so has the output: rename it, or leave \
                     it out with `columns: {{{column}: null}}` in a mapping file"
                )));
            }
        }
        self.check_fields(columns)
    }

    fn check_twice(columns: &[String]) -> Result<(), JobError> {
        for (place, column) in columns.iter().enumerate() {
            if let Some(other) = columns.iter().take(place).position(|other| other == column) {
                let (one, two) = (other + 1, place + 1);
                return Err(usage(format!("columns {one} and {two} are both named `{column}`")));
            }
        }
        Ok(())
    }

    /// Checks what the columns of a file say.
    ///
    /// # Errors
    /// When two columns say the same, one looks like a field and is none, there is no id, or the mapping
    /// file names a column that is not there.
    pub fn check_fields(&self, columns: &[String]) -> Result<(), JobError> {
        Self::check_twice(columns)?;
        let mut given: Vec<(Field<'_>, &str)> = Vec::new();
        let by_column =
            columns.iter().filter_map(|column| Some((self.name(column)?, column.as_str())));
        let constants = self.constants.keys().map(|name| (name.as_str(), "the constants"));
        for (name, place) in by_column.chain(constants) {
            let Some(field) = field(name)? else { continue };
            if let Some((_, other)) = given.iter().find(|(other, _)| *other == field) {
                return Err(usage(format!("`{name}` is given twice: by {other} and by {place}")));
            }
            given.push((field, place));
        }
        if !given.iter().any(|(field, _)| *field == Field::Id) {
            return Err(usage(format!(
                "no column is `customer.id`; the columns are {}",
                columns.join(", ")
            )));
        }
        match self.columns.keys().find(|column| !columns.contains(column)) {
            Some(column) => Err(usage(format!(
                "the mapping file names a column `{column}` that the input has not"
            ))),
            None => Ok(()),
        }
    }

    /// The columns that nobody reads though nobody said so: those that are no field, and those about a product
    /// that is not `known`. A misspelt one is among them.
    pub(super) fn unread(&self, columns: &[String], known: impl Fn(&str) -> bool) -> Vec<String> {
        let is_unread = |column: &&String| {
            self.name(column).is_some_and(|name| match Field::of(name) {
                Ok(Some(Field::Holdings(product, _))) => !known(product),
                Ok(field) => field.is_none(),
                Err(_) => false,
            })
        };
        columns.iter().filter(is_unread).cloned().collect()
    }

    /// Whether any column or constant is about the holding of "the" product.
    #[must_use]
    pub fn speaks_of_holding(&self, columns: &[String]) -> bool {
        let names = columns.iter().filter_map(|column| self.name(column));
        names
            .chain(self.constants.keys().map(String::as_str))
            .any(|name| Field::of(name).ok().flatten().is_some_and(Field::is_holding))
    }
}

fn field(name: &str) -> Result<Option<Field<'_>>, JobError> {
    Field::of(name).map_err(|error| usage(error.to_string()))
}

fn is_id(name: &str) -> bool {
    Field::of(name) == Ok(Some(Field::Id))
}

fn usage(what: String) -> JobError {
    JobError::Usage(what)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn refused(mapping: &str, columns: &[&str]) -> String {
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        let checked = Mapping::read(mapping).and_then(|mapping| mapping.check(&columns));
        checked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn columns_that_cannot_be_told_apart_are_refused() {
        for (mapping, columns, expected) in [
            ("{}", &["id", "country"][..], ""),
            ("{columns: {no: customer.id}}", &["no"], ""),
            ("{columns: {offer: null}}", &["id", "offer"], ""),
            ("{}", &["id", "x", "x"], "columns 2 and 3 are both named `x`"),
            ("{}", &["id", "customer.id"], "`customer.id` is given twice"),
            ("{columns: {land: country}}", &["id", "land", "country"], "`country` is given twice"),
            ("{constants: {country: GB}}", &["id", "country"], "by country and by the constants"),
            ("{columns: {land: country}}", &["id"], "names a column `land`"),
            ("{columns: {land: contry}}", &["id", "land"], "`contry` is no name"),
            ("{constants: {id: c-1}}", &["x"], "another one in every row"),
            ("{}", &["id", "offer"], "so has the output"),
            ("{}", &["id", "holding.term_ends"], "`holding.term_ends` is no name"),
            ("{}", &["country"], "no column is `customer.id`"),
            ("{cols: {}}", &["id"], "cols"),
        ] {
            let refused = refused(mapping, columns);
            assert!(
                refused.contains(expected) && refused.is_empty() == expected.is_empty(),
                "{refused}"
            );
        }
    }

    #[test]
    fn columns_that_nobody_reads_are_told_unless_the_mapping_says_so() {
        let mapping = Mapping::read("columns: {note: null, land: country}").unwrap();
        let columns = "id land note contry holdings.kis.status holdings.kiss.status attributes.x";
        let columns: Vec<_> = columns.split(' ').map(str::to_owned).collect();
        let unread = mapping.unread(&columns, |product| product == "kis");
        assert_eq!(unread, ["contry", "holdings.kiss.status"]);
    }

    #[test]
    fn a_country_called_no_is_a_text_in_the_constants() {
        let mapping = Mapping::read("constants: {country: NO}").unwrap();
        assert_eq!(mapping.constants(), [("country", Cell::Text("NO".into()))]);
    }
}
