//! Customers from a file: JSON lines in the form of a request's `customer`, or CSV.
//!
//! Invariant: nothing is left out unseen. A column of CSV that is no field is the bank's own and is named to
//! the person; one that looks like a field and is none is refused, as is an unknown field of JSON. A row that
//! cannot be read is told with its line. An empty cell was not said; it is never a value.

use super::exit::Failure;
use super::output::Output;
use super::request_args::read_text;
use super::request_file::{CustomerDocument, HoldingDocument};
use crate::domain::CustomerId;
use crate::wire::proto;
use prost::Message as _;
use std::path::Path;

/// Largest customer file. Larger ones are for batch jobs.
const MOST_BYTES: u64 = 256 << 20;

/// Most customers, and most bytes of them, in one call; below what the server takes.
const PART: (usize, usize) = (1_000, 768 << 10);

/// Reads all customers, but so many rows at most that cannot be read.
pub(super) fn read(
    path: &Path,
    most_rejects: usize,
    output: &Output,
) -> Result<Vec<proto::Customer>, Failure> {
    let text = read_text(path, MOST_BYTES)?;
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let rows = if is_csv { from_csv(path, &text)? } else { from_lines(path, &text) };
    if !rows.own_columns.is_empty() {
        let columns = rows.own_columns.join(", ");
        output.note(format_args!("not read, being no field of a customer: {columns}"));
    }
    let (mut customers, mut rejects) = (Vec::new(), Vec::new());
    for (line, row) in rows.numbered {
        let place = format!("{}:{line}", path.display());
        let customer = row.and_then(|row| match CustomerId::allows(&row.id) {
            true => row.to_wire().map_err(|failure| failure.at(&place)),
            false => Err(at(path, line, "the id is missing, or none")),
        });
        match customer {
            Ok(customer) => customers.push(customer),
            Err(failure) if most_rejects == 0 => return Err(failure),
            Err(_) => rejects.push(line),
        }
    }
    match rejects.first() {
        Some(first) if most_rejects < rejects.len() => Err(Failure::usage(format_args!(
            "{}: {} rows cannot be read, the first is line {first}",
            path.display(),
            rejects.len()
        ))),
        Some(first) => {
            let count = rejects.len();
            output.note(format_args!(
                "left out {count} rows that cannot be read, the first is line {first}"
            ));
            Ok(customers)
        }
        None => Ok(customers),
    }
}

/// Parts that fit one call each; one empty part when there are no customers.
pub(super) fn parts(customers: Vec<proto::Customer>) -> Vec<Vec<proto::Customer>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for customer in customers {
        let length = customer.encoded_len();
        let full = parts.last().is_some_and(|part: &Vec<_>| {
            part.len() == PART.0 || (!part.is_empty() && PART.1 < bytes + length)
        });
        if full {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        if let Some(part) = parts.last_mut() {
            part.push(customer);
        }
    }
    parts
}

/// The rows of a file, each with its line.
struct Rows {
    numbered: Vec<(u64, Result<CustomerDocument, Failure>)>,
    /// The columns that are not read.
    own_columns: Vec<String>,
}

fn from_lines(path: &Path, text: &str) -> Rows {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let row = |(number, line): (u64, &str)| {
        let row = serde_json::from_str(line);
        (number, row.map_err(|error| at(path, number, "no customer").because(error)))
    };
    Rows { numbered: lines.map(row).collect(), own_columns: Vec::new() }
}

fn from_csv(path: &Path, text: &str) -> Result<Rows, Failure> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| at(path, 1, "no header").because(error))?.clone();
    let (mut read, mut own_columns) = (Vec::new(), Vec::new());
    for column in &header {
        let is_field = is_field(column).map_err(|why| at(path, 1, &why))?;
        read.push(is_field);
        if !is_field {
            own_columns.push(column.to_owned());
        }
    }
    let mut numbered = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            at(path, line, "no row that fits the header").because(error)
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut customer = CustomerDocument::default();
        let cells = header.iter().zip(&record).zip(&read).filter(|(_, is_field)| **is_field);
        let mut cells = cells.map(|(cell, _)| cell).filter(|(_, cell)| !cell.is_empty());
        let set = cells.try_for_each(|(column, cell)| set(&mut customer, column, cell));
        numbered.push((line, set.map(|()| customer).map_err(|why| at(path, line, &why))));
    }
    Ok(Rows { numbered, own_columns })
}

/// Whether a column is a field of a customer; refuses one that looks like one and is none.
fn is_field(column: &str) -> Result<bool, String> {
    const PLAIN: [&str; 7] =
        ["id", "relationship", "country", "segment", "us_person", "date_of_birth", "vulnerable"];
    const OF_HOLDING: [&str; 5] = ["status", "accepted_at", "term_end", "covered_by", "unit_count"];
    let name = column.strip_prefix("customer.").unwrap_or(column);
    let is_plain = PLAIN.contains(&name) || name.starts_with("attributes.");
    let holding = name.strip_prefix("holdings.").map(|path| path.rsplit_once('.'));
    match holding {
        Some(Some((_, field))) if OF_HOLDING.contains(&field) => Ok(true),
        Some(_) => Err(format!("column `{column}` is no field of a holding")),
        None if is_plain => Ok(true),
        None if name != column || name.starts_with("holding.") || name == "holding" => {
            Err(format!("column `{column}` is no field of a customer"))
        }
        None => Ok(false),
    }
}

/// Puts one cell into its field.
fn set(customer: &mut CustomerDocument, column: &str, cell: &str) -> Result<(), String> {
    let text = Some(cell.to_owned());
    let truth = || match cell {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(format!("column {column}: `{cell}` is neither true nor false")),
    };
    let unknown = || Err(format!("column `{column}` is no field of a customer"));
    match column.strip_prefix("customer.").unwrap_or(column) {
        "id" => customer.id = cell.to_owned(),
        "relationship" => customer.relationship = text,
        "country" => customer.country = text,
        "segment" => customer.segment = text,
        "us_person" => customer.us_person = truth()?,
        "date_of_birth" => customer.date_of_birth = text,
        "vulnerable" => customer.vulnerable = truth()?,
        other => match (other.strip_prefix("attributes."), other.strip_prefix("holdings.")) {
            (Some(name), _) => {
                let value = serde_json::from_str(cell);
                customer.attributes.insert(name.to_owned(), value.unwrap_or_else(|_| cell.into()));
            }
            (None, Some(path)) => {
                let Some((product, field)) = path.rsplit_once('.') else { return unknown() };
                let holding = customer.holdings.entry(product.to_owned()).or_default();
                return set_holding(holding, field, column, cell);
            }
            (None, None) => return unknown(),
        },
    }
    Ok(())
}

fn set_holding(
    holding: &mut HoldingDocument,
    field: &str,
    column: &str,
    cell: &str,
) -> Result<(), String> {
    let text = Some(cell.to_owned());
    match field {
        "status" => holding.status = text,
        "accepted_at" => holding.accepted_at = text,
        "term_end" => holding.term_end = text,
        "covered_by" => holding.covered_by = text,
        "unit_count" => {
            let count =
                cell.parse().map_err(|_| format!("column {column}: `{cell}` is no count"))?;
            holding.unit_count = Some(count);
        }
        _ => return Err(format!("column `{column}` is no field of a holding")),
    }
    Ok(())
}

fn at(path: &Path, line: u64, what: &str) -> Failure {
    Failure::usage(format_args!("{}:{line}: {what}", path.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_csv_row_and_a_json_line_say_the_same() {
        let csv = "id,country,us_person,attributes.tier,holdings.kis.status,holdings.kis.unit_count\n\
                   c-1,GB,false,gold,ACTIVE,2\nc-2,,,,,\n";
        let lines = "{\"id\":\"c-1\",\"country\":\"GB\",\"us_person\":false,\
                     \"attributes\":{\"tier\":\"gold\"},\
                     \"holdings\":{\"kis\":{\"status\":\"ACTIVE\",\"unit_count\":2}}}\n\n\
                     {\"id\":\"c-2\"}\n";
        let path = Path::new("people");
        let customers = |rows: Rows| {
            let rows = rows.numbered.into_iter().map(|(_, row)| row.unwrap());
            rows.collect::<Vec<_>>()
        };
        assert_eq!(customers(from_csv(path, csv).unwrap()), customers(from_lines(path, lines)));
    }

    #[test]
    fn a_bad_cell_and_an_unknown_field_are_refused_with_their_line() {
        for (csv, line) in [
            ("id,customer.contry\nc-1,GB\n", ":1:"),
            ("id,us_person\nc-1,true\nc-2,yes\n", ":3:"),
            ("id,holdings.kis\nc-1,ACTIVE\n", ":1:"),
            ("id,holding.status\nc-1,ACTIVE\n", ":1:"),
            ("id,country\nc-1\n", ":2:"),
        ] {
            let rows = from_csv(Path::new("people"), csv);
            let refused = rows.and_then(|rows| {
                rows.numbered.into_iter().map(|(_, row)| row).collect::<Result<Vec<_>, _>>()
            });
            let refused = format!("{:?}", refused.unwrap_err());
            assert!(refused.contains(line), "{csv}: {refused}");
        }
    }

    #[test]
    fn a_column_of_the_banks_own_is_not_read() {
        let rows =
            from_csv(Path::new("people"), "id,email,contry\nc-1,a@example.com,GB\n").unwrap();
        assert_eq!(rows.own_columns, ["email", "contry"]);
        assert_eq!(rows.numbered.len(), 1);
    }

    #[test]
    fn many_customers_are_sent_in_parts_and_none_still_asks_once() {
        let customer = |id: usize| proto::Customer { id: id.to_string(), ..Default::default() };
        let sizes: Vec<_> =
            parts((0..2_500).map(customer).collect()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        assert_eq!(parts(Vec::new()).len(), 1);
    }
}
