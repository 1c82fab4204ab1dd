//! Reads the fields of a map: known keys, required keys, and values of the kind that is wanted.
//!
//! Every reader here gives `None` for what it cannot read *and has noted why*, so that reading goes
//! on and tells everything that is wrong at once. What is read is used only if nothing was noted.

use super::instant;
use super::problem::{Place, Problems};
use super::tree::{Entry, Kind, Node, quoted};
use crate::domain::{Date, Timestamp};
use std::fmt::Display;

/// Among how many names the nearest one is looked for, since each is compared letter by letter.
const MOST_CANDIDATES: usize = 256;

/// A value, the path that leads to it, and where to note what is wrong with it.
#[derive(Clone)]
pub(super) struct Item<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
    pub(super) problems: &'n Problems,
    /// The place of the key, which shows what a problem with the whole value is about.
    pub(super) key_place: Option<Place>,
}

/// A map whose keys are all known.
pub(super) struct Fields<'n> {
    item: Item<'n>,
    entries: &'n [Entry],
}

impl<'n> Item<'n> {
    /// The whole of a file.
    pub(super) fn root(node: &'n Node, problems: &'n Problems) -> Self {
        Self { node, path: String::new(), problems, key_place: node.place }
    }

    /// Notes a problem with this value.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.problems.add(self.path.clone(), self.node.place, message)
    }

    /// The map, refusing every key but those `allowed`.
    pub(super) fn fields(&self, allowed: &[&str]) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &self.node.kind else {
            let found = self.node.describe();
            return self.refuse(format!("is {found}, and must be a map of {}", list(allowed)));
        };
        for entry in entries.iter().filter(|entry| !allowed.contains(&entry.key.as_str())) {
            if self.problems.is_full() {
                break;
            }
            let nearest = nearest(&entry.key, allowed)
                .map_or_else(String::new, |key| format!("did you mean `{key}`? "));
            let message = format!(
                "unknown key {}; {nearest}allowed are {}",
                quoted(&entry.key),
                list(allowed)
            );
            self.problems.add::<()>(self.inner(&entry.key), entry.key_place, message);
        }
        Some(Fields { item: self.clone(), entries })
    }

    /// The values of a map whose keys are free, each with its key.
    pub(super) fn entries(&self, of: &str) -> Vec<(&'n str, Item<'n>)> {
        let Kind::Map(entries) = &self.node.kind else {
            let found = self.node.describe();
            self.refuse::<()>(format!("is {found}, and must be a map of {of}; `{{}}` for none"));
            return Vec::new();
        };
        entries.iter().map(|entry| (entry.key.as_str(), self.of_entry(entry))).collect()
    }

    /// The items of a list.
    pub(super) fn items(&self, of: &str) -> Option<Vec<Item<'n>>> {
        let Kind::List(items) = &self.node.kind else {
            let found = self.node.describe();
            return self.refuse(format!("is {found}, and must be a list of {of}"));
        };
        let item = |(at, node): (usize, &'n Node)| Item {
            node,
            path: format!("{}[{at}]", self.path),
            problems: self.problems,
            key_place: node.place,
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A list, all items of which read; what does not is left out, and noted.
    pub(super) fn list<T, L: FromIterator<T>>(
        &self,
        of: &str,
        read: impl Fn(&Item<'n>) -> Option<T>,
    ) -> L {
        self.items(of).unwrap_or_default().iter().filter_map(read).collect()
    }

    /// A list with at least one item; `empty` says what to do instead of an empty one.
    pub(super) fn filled_list<T, L: FromIterator<T>>(
        &self,
        of: &str,
        empty: &str,
        read: impl Fn(&Item<'n>) -> Option<T>,
    ) -> L {
        if matches!(&self.node.kind, Kind::List(items) if items.is_empty()) {
            self.refuse::<()>(format!("is an empty list; {empty}"));
        }
        self.list(of, read)
    }

    /// A text. A plain number is one too, as it is spelled.
    pub(super) fn text(&self) -> Option<&'n str> {
        match &self.node.kind {
            Kind::Text(text) | Kind::Number(text) => Some(text),
            Kind::Bool(value) => {
                self.refuse(format!("is `{value}`, and must be a text; write it in quotes"))
            }
            Kind::Null => self.refuse("is empty, and must be a text; leave the key out for none"),
            Kind::List(_) | Kind::Map(_) => {
                self.refuse(format!("is {}, and must be a text", self.node.describe()))
            }
        }
    }

    /// A text that `parse` takes, such as an id.
    pub(super) fn parsed<T, E: Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text()?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => self.refuse(format!("{} is not allowed: {error}", quoted(text))),
        }
    }

    /// One of a closed list of names.
    pub(super) fn one_of<T: Copy>(&self, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
        let text = self.text()?;
        let names: Vec<_> = all.iter().map(|value| name(*value)).collect();
        match all.iter().find(|value| name(**value) == text) {
            Some(value) => Some(*value),
            None => self.refuse(not_one_of(text, &names)),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.kind {
            Kind::Bool(value) => Some(*value),
            _ => self.refuse(format!("is {}, and must be `true` or `false`", self.node.describe())),
        }
    }

    /// A whole number in a range, both ends included.
    pub(super) fn whole_number(&self, least: u32, most: u32) -> Option<u32> {
        let number = match &self.node.kind {
            Kind::Number(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok().filter(|number| (least..=most).contains(number))
            }
            _ => None,
        };
        number.or_else(|| {
            let found = self.node.describe();
            self.refuse(format!("is {found}, and must be a whole number from {least} to {most}"))
        })
    }

    /// An instant, with its offset.
    pub(super) fn instant(&self) -> Option<Timestamp> {
        let text = self.text()?;
        instant::parse(text, None).map_or_else(|error| self.refuse(error.to_string()), Some)
    }

    /// A day.
    pub(super) fn day(&self) -> Option<Date> {
        let text = self.text()?;
        instant::parse_day(text).map_or_else(|error| self.refuse(error.to_string()), Some)
    }

    /// The path of something in here.
    fn inner(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn of_entry(&self, entry: &'n Entry) -> Self {
        Item {
            node: &entry.value,
            path: self.inner(&entry.key),
            problems: self.problems,
            key_place: entry.key_place,
        }
    }
}

impl<'n> Fields<'n> {
    /// The value of a key, if the key is there.
    pub(super) fn get(&self, key: &str) -> Option<Item<'n>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(self.item.of_entry(entry))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str) -> Option<Item<'n>> {
        self.get(key).or_else(|| {
            let message = format!("`{key}` is missing, and required");
            self.item.problems.add(self.item.inner(key), self.item.key_place, message)
        })
    }

    /// Notes a problem with the whole map.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.item.problems.add(self.item.path.clone(), self.item.key_place, message)
    }
}

/// Says that `text` is none of `names`, and which one it may have been meant to be.
pub(super) fn not_one_of(text: &str, names: &[&str]) -> String {
    let nearest =
        nearest(text, names).map_or_else(String::new, |name| format!("did you mean `{name}`? "));
    format!("{} is not allowed; {nearest}allowed are {}", quoted(text), list(names))
}

/// `a`, `b` and `c`, each in backticks.
fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The allowed name that differs least from `text`, if one is near enough to have been meant.
pub(super) fn nearest<'a>(text: &str, allowed: &[&'a str]) -> Option<&'a str> {
    if 64 < text.len() || MOST_CANDIDATES < allowed.len() {
        return None;
    }
    let far = |name: &str| distance(&text.to_ascii_lowercase(), &name.to_ascii_lowercase());
    let (distance, name) = allowed.iter().map(|name| (far(name), *name)).min()?;
    (distance <= 1 + name.len() / 4).then_some(name)
}

/// How many letters must be put in, taken out or replaced to turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (other, above) in to.chars().zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = *above;
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
