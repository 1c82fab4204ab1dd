//! Conditions, evaluated by the `cel` crate.

use super::Given;
use crate::decision::criteria::{birthday, midnight};
use crate::domain::{
    Attribute, AttributeName, AttributeValue, Offer, Reason, ReasonCode, Timestamp,
};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, Program, Value};
use jiff::tz::TimeZone;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Most elements of a list that a comprehension goes over.
const LONGEST_LIST: usize = 100;
/// What a condition may call beside CEL's operators.
const FUNCTIONS: [&str; 8] =
    ["contains", "startsWith", "endsWith", "matches", "size", "int", "double", "string"];
const OPERATORS: [&str; 19] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

pub(in crate::decision) struct Condition {
    program: Program,
    reads: BTreeSet<Read>,
}

/// Something that a condition reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Customer(&'static str),
    Request(&'static str),
    Own(Arc<str>),
}

const OF_CUSTOMER: [&str; 7] =
    ["age", "country", "id", "relationship", "segment", "us_person", "vulnerable"];
const OF_REQUEST: [&str; 3] = ["action", "channel", "device"];

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condition").field("reads", &self.reads).finish_non_exhaustive()
    }
}

impl Condition {
    /// Compiles, and refuses what goes beyond this module's part of CEL.
    pub(in crate::decision) fn compile(source: &str) -> Result<Self, String> {
        let length = source.chars().count();
        if Offer::LONGEST_CONDITION < length {
            let most = Offer::LONGEST_CONDITION;
            return Err(format!("{length} characters long; at most {most} are allowed"));
        }
        let program = Program::compile(source)
            .map_err(|error| format!("is not CEL: {}", error.to_string().trim()))?;
        let mut reads = BTreeSet::new();
        Walk { reads: &mut reads, bound: Vec::new() }.visit(program.expression())?;
        Ok(Self { program, reads })
    }

    /// Whether the condition holds, or else what keeps it from being evaluated.
    pub(in crate::decision) fn verdict(&self, given: &Given<'_, '_>) -> Result<bool, Vec<Reason>> {
        let mut customer: HashMap<String, Value> = HashMap::new();
        let mut attributes: HashMap<String, Value> = HashMap::new();
        let mut context = Context::default();
        let mut unread = Vec::new();
        for read in &self.reads {
            match read.value(given) {
                Attribute::Known(value) => match read {
                    Read::Customer(name) => drop(customer.insert((*name).to_owned(), value)),
                    Read::Own(name) => drop(attributes.insert(name.to_string(), value)),
                    Read::Request(name) => context.add_variable_from_value(*name, value),
                },
                Attribute::Missing => {
                    unread.push(Reason::about(ReasonCode::AttributeMissing, read.name()));
                }
                Attribute::Invalid => {
                    unread.push(Reason::about(ReasonCode::AttributeInvalid, read.name()));
                }
            }
        }
        customer.insert("attributes".to_owned(), Value::from(attributes.clone()));
        context.add_variable_from_value("customer", customer);
        context.add_variable_from_value("attributes", attributes);
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            // Everything that it reads is there, so it is the condition that is wrong.
            Ok(_) | Err(_) if unread.is_empty() => {
                let condition = AttributeName::Standard("condition");
                Err(vec![Reason::about(ReasonCode::AttributeInvalid, condition)])
            }
            Ok(_) | Err(_) => Err(unread),
        }
    }

    /// The next birthday, which can change the answer of a condition over the age.
    pub(in crate::decision) fn next_change(&self, given: &Given<'_, '_>) -> Option<Timestamp> {
        let Attribute::Known(born) = given.customer.date_of_birth else { return None };
        if !self.reads.contains(&Read::Customer("age")) {
            return None;
        }
        match age(given) {
            Attribute::Known(age) => midnight(birthday(born, age.saturating_add(1))?),
            // Not born yet: the age becomes valid that day.
            Attribute::Invalid | Attribute::Missing => midnight(born),
        }
    }
}

impl Read {
    fn name(&self) -> AttributeName {
        match self {
            Self::Customer("age") => AttributeName::Standard("date_of_birth"),
            Self::Customer(name) | Self::Request(name) => AttributeName::Standard(name),
            Self::Own(name) => AttributeName::Own(Arc::clone(name)),
        }
    }

    /// The value in this request. A term outside the vocabularies is as invalid here as elsewhere.
    fn value(&self, given: &Given<'_, '_>) -> Attribute<Value> {
        let customer = given.customer;
        let text = |text: &str| Value::from(text);
        match self {
            Self::Own(name) => match customer.attribute(name) {
                None => Attribute::Missing,
                Some(AttributeValue::Invalid) => Attribute::Invalid,
                Some(AttributeValue::Bool(value)) => Attribute::Known(Value::Bool(value)),
                Some(AttributeValue::Number(value)) => Attribute::Known(Value::Float(value)),
                Some(AttributeValue::Text(value)) => Attribute::Known(text(value)),
            },
            Self::Request("channel") => given.channel.map(text),
            Self::Request("device") => given.device.map(text),
            Self::Request(_) => Attribute::Known(text(given.action.name())),
            Self::Customer("age") => age(given).map(|age| Value::Int(i64::from(age))),
            Self::Customer("country") => customer.country.map(|country| text(country.code())),
            Self::Customer("relationship") => customer.relationship.map(|it| text(it.name())),
            Self::Customer("segment") => given.segment.map(text),
            Self::Customer("us_person") => customer.us_person.map(Value::Bool),
            Self::Customer("vulnerable") => customer.vulnerable.map(Value::Bool),
            Self::Customer(_) => Attribute::Known(text(customer.id)),
        }
    }
}

/// Full years since birth, in UTC; invalid for somebody who is not born yet.
fn age(given: &Given<'_, '_>) -> Attribute<i16> {
    let today = TimeZone::UTC.to_datetime(given.now).date();
    match given.customer.date_of_birth {
        Attribute::Known(born) if today < born => Attribute::Invalid,
        Attribute::Known(born) => {
            let years = today.year().saturating_sub(born.year());
            let had_birthday = birthday(born, years).is_some_and(|day| day <= today);
            Attribute::Known(if had_birthday { years } else { years.saturating_sub(1) })
        }
        Attribute::Missing => Attribute::Missing,
        Attribute::Invalid => Attribute::Invalid,
    }
}

/// Walks an expression: collects what it reads, and refuses what is not allowed.
struct Walk<'w> {
    reads: &'w mut BTreeSet<Read>,
    /// Variables of the comprehension that we are in.
    bound: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, expression: &IdedExpr) -> Result<(), String> {
        if let Some(path) = path(expression) {
            return self.read(&path);
        }
        match &expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
                    let allowed = FUNCTIONS.join("`, `");
                    return Err(format!(
                        "calls `{name}`; beside operators it may call `{allowed}`"
                    ));
                }
                call.target.iter().try_for_each(|target| self.visit(target))?;
                call.args.iter().try_for_each(|argument| self.visit(argument))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key)?;
                    self.visit(&entry.value)
                }
                EntryExpr::StructField(_) => Err("builds a message".to_owned()),
            }),
            Expr::Comprehension(comprehension) => {
                if !self.bound.is_empty() {
                    return Err("nests comprehensions; one level is allowed".to_owned());
                }
                match &comprehension.iter_range.expr {
                    Expr::List(list) if list.elements.len() <= LONGEST_LIST => {}
                    _ => {
                        return Err(format!(
                            "goes over something else than a literal list of at most \
                             {LONGEST_LIST} elements"
                        ));
                    }
                }
                self.visit(&comprehension.iter_range)?;
                self.visit(&comprehension.accu_init)?;
                self.bound = vec![comprehension.iter_var.clone(), comprehension.accu_var.clone()];
                self.bound.extend(comprehension.iter_var2.clone());
                self.visit(&comprehension.loop_cond)?;
                self.visit(&comprehension.loop_step)?;
                self.visit(&comprehension.result)?;
                self.bound.clear();
                Ok(())
            }
            Expr::Select(select) if select.test => {
                Err("asks whether an attribute is there; leaving one out must never help"
                    .to_owned())
            }
            Expr::Select(_) | Expr::Ident(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err("has a part that is not allowed here".to_owned())
            }
        }
    }

    /// Notes what a full name reads, and refuses every other name.
    fn read(&mut self, path: &[&str]) -> Result<(), String> {
        let known =
            |names: &[&'static str], name: &str| names.iter().copied().find(|known| *known == name);
        let read = match path {
            [variable] if self.bound.iter().any(|bound| bound == variable) => return Ok(()),
            ["customer", "attributes", name] | ["attributes", name] => {
                Some(Read::Own((*name).into()))
            }
            ["customer", name] => known(&OF_CUSTOMER, name).map(Read::Customer),
            [name] => known(&OF_REQUEST, name).map(Read::Request),
            _ => None,
        };
        let Some(read) = read else {
            return Err(format!(
                "reads `{}`; it may read `customer.{}`, `customer.attributes.NAME`, `{}`",
                path.join("."),
                OF_CUSTOMER.join("`, `customer."),
                OF_REQUEST.join("`, `"),
            ));
        };
        self.reads.insert(read);
        Ok(())
    }
}

/// The dotted name that an expression spells, `a["b"]` being another spelling of `a.b`.
fn path(expression: &IdedExpr) -> Option<Vec<&str>> {
    match &expression.expr {
        Expr::Ident(name) => Some(vec![name]),
        Expr::Select(select) if !select.test => {
            let mut path = path(&select.operand)?;
            path.push(&select.field);
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, key] = call.args.as_slice() else { return None };
            let Expr::Literal(LiteralValue::String(key)) = &key.expr else { return None };
            let mut path = path(operand)?;
            path.push(key.inner());
            Some(path)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_condition_is_counted_in_characters() {
        let (before, after) = ("customer.segment == '", "'");
        let most = Offer::LONGEST_CONDITION - before.len() - after.len();
        let of = |letters| Condition::compile(&format!("{before}{}{after}", "é".repeat(letters)));
        assert!(of(most).is_ok());
        let refused = Some("1001 characters long; at most 1000 are allowed");
        assert_eq!(of(most + 1).err().as_deref(), refused);
    }
}
