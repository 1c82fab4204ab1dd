//! Spells changes until the rule files' own spelling is there: vendors by name only.
use crate::domain::{RuleChange, RuleEdit, Vendor, VendorId};
use serde_json::{Value, json};

pub(super) fn change_to_json(change: &RuleChange) -> Value {
    change
        .edits
        .iter()
        .map(|edit| match edit {
            RuleEdit::PutVendor(v) => json!({"id": v.id.as_str(), "name": v.name}),
            other => json!({"remove": other.subject().1}),
        })
        .collect()
}

pub(super) fn change_from_json(value: &Value) -> Result<RuleChange, String> {
    let mut edits = vec![];
    for item in value.as_array().ok_or("no list")? {
        let text = |key| item.get(key).and_then(Value::as_str);
        let id = |text| VendorId::parse(text).map_err(|error| error.to_string());
        edits.push(match (text("id"), text("name"), text("remove")) {
            (Some(key), Some(name), None) => RuleEdit::PutVendor(std::sync::Arc::new(Vendor {
                id: id(key)?,
                name: name.into(),
                country: None,
                aliases: vec![],
                former_names: vec![],
                parents: vec![],
            })),
            (None, None, Some(key)) => RuleEdit::RemoveVendor(id(key)?),
            _ => return Err("no edit".into()),
        });
    }
    Ok(RuleChange { edits })
}
