//! A mailing inside an entry, and inside what an approval names.
//!
//! One JSON object, its keys in alphabetical order: `action`, `audience_sha256`, `id`, `not_after`,
//! `not_before` (or `null`), `offer`, `per_second`, `recipients`, `settings_sha256` (or `null`),
//! `template_sha256`.
//!
//! Invariant: one spelling a mailing. Reading is strict: a missing or unknown field is an error.

use crate::domain::{ContentHash, Mailing, MailingAction, MailingId, OfferId, Timestamp};
use serde::de::{Deserializer, Error};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    action: Cow<'a, str>,
    audience_sha256: Cow<'a, str>,
    id: Cow<'a, str>,
    not_after: Cow<'a, str>,
    #[serde(deserialize_with = "Option::deserialize")]
    not_before: Option<Cow<'a, str>>,
    offer: Cow<'a, str>,
    per_second: NonZeroU32,
    recipients: NonZeroU64,
    #[serde(deserialize_with = "Option::deserialize")]
    settings_sha256: Option<Cow<'a, str>>,
    template_sha256: Cow<'a, str>,
}

/// Writes one; there must be one.
#[expect(clippy::ref_option, reason = "serde asks for it")]
pub(super) fn write<S: Serializer>(
    mailing: &Option<Arc<Mailing>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(mailing) = mailing else { return serializer.serialize_none() };
    let text = |value: &dyn std::fmt::Display| Cow::Owned(value.to_string());
    let form = Form {
        action: mailing.action.name().into(),
        audience_sha256: text(&mailing.audience),
        id: mailing.id.as_str().into(),
        not_after: text(&mailing.not_after),
        not_before: mailing.not_before.as_ref().map(|at| text(at)),
        offer: mailing.offer.as_str().into(),
        per_second: mailing.per_second,
        recipients: mailing.recipients,
        settings_sha256: mailing.settings.as_ref().map(|hash| text(hash)),
        template_sha256: text(&mailing.template),
    };
    form.serialize(serializer)
}

/// Reads one; where the key is, there must be one.
pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<Mailing>>, D::Error> {
    let form = Form::deserialize(deserializer)?;
    let bad =
        |field: &'static str| move || D::Error::custom(format_args!("`{field}` does not read"));
    let hash = |text: &str, field| ContentHash::parse(text).ok_or_else(bad(field));
    let instant = |text: &str, field| {
        let read: Option<Timestamp> = text.parse().ok();
        read.filter(|at| at.to_string() == text).ok_or_else(bad(field))
    };
    let mailing = Mailing {
        id: MailingId::parse(&form.id).map_err(D::Error::custom)?,
        offer: OfferId::parse(&form.offer).map_err(D::Error::custom)?,
        action: MailingAction::from_name(&form.action).ok_or_else(bad("action"))?,
        audience: hash(&form.audience_sha256, "audience_sha256")?,
        recipients: form.recipients,
        template: hash(&form.template_sha256, "template_sha256")?,
        settings: form
            .settings_sha256
            .as_deref()
            .map(|text| hash(text, "settings_sha256"))
            .transpose()?,
        not_before: form
            .not_before
            .as_deref()
            .map(|text| instant(text, "not_before"))
            .transpose()?,
        not_after: instant(&form.not_after, "not_after")?,
        per_second: form.per_second,
    };
    Ok(Some(Arc::new(mailing)))
}
