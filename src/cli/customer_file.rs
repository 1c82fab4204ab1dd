//! Customers from a file: JSON lines in the form of a request's `customer`, or CSV.
//!
//! Invariant: an unknown column or field is refused, and an error names the line. An empty cell was
//! not said; it is never a value.

use super::exit::Failure;
use super::request_args::read_text;
use super::request_file::{CustomerDocument, HoldingDocument};
use crate::wire::proto;
use prost::Message as _;
use std::path::Path;

/// Largest customer file. Larger ones are for batch jobs.
const MOST_BYTES: u64 = 256 << 20;

/// Most customers, and most bytes of them, in one call; below what the server takes.
const PART: (usize, usize) = (1_000, 768 << 10);

/// Reads all customers.
pub(super) fn read(path: &Path) -> Result<Vec<proto::Customer>, Failure> {
    let text = read_text(path, MOST_BYTES)?;
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let documents = if is_csv { from_csv(path, &text)? } else { from_lines(path, &text)? };
    let place = |line| format!("{}:{line}", path.display());
    let customers = documents.into_iter();
    customers.map(|(line, customer)| customer.to_wire().map_err(|it| it.at(&place(line)))).collect()
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

type Numbered = Vec<(u64, CustomerDocument)>;

fn from_lines(path: &Path, text: &str) -> Result<Numbered, Failure> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| match serde_json::from_str(line) {
            Ok(customer) => Ok((number, customer)),
            Err(error) => Err(at(path, number, "no customer").because(error)),
        })
        .collect()
}

fn from_csv(path: &Path, text: &str) -> Result<Numbered, Failure> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| at(path, 1, "no header").because(error))?.clone();
    let mut customers = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            at(path, line, "no row that fits the header").because(error)
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut customer = CustomerDocument::default();
        for (column, cell) in header.iter().zip(&record) {
            if !cell.is_empty() {
                set(&mut customer, column, cell).map_err(|why| at(path, line, &why))?;
            }
        }
        if customer.id.is_empty() {
            return Err(at(path, line, "column id is missing or empty"));
        }
        customers.push((line, customer));
    }
    Ok(customers)
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
        let from_csv: Vec<_> = from_csv(path, csv).unwrap().into_iter().map(|it| it.1).collect();
        let from_lines: Vec<_> =
            from_lines(path, lines).unwrap().into_iter().map(|it| it.1).collect();
        assert_eq!(from_csv, from_lines);
    }

    #[test]
    fn a_bad_cell_and_an_unknown_column_are_refused_with_their_line() {
        for (csv, line) in [
            ("id,contry\nc-1,GB\n", ":2:"),
            ("id,us_person\nc-1,true\nc-2,yes\n", ":3:"),
            ("id,holdings.kis\nc-1,ACTIVE\n", ":2:"),
            ("country\nGB\n", ":2:"),
            ("id,country\nc-1\n", ":2:"),
        ] {
            let refused = format!("{:?}", from_csv(Path::new("people"), csv).unwrap_err());
            assert!(refused.contains(line), "{csv}: {refused}");
        }
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
