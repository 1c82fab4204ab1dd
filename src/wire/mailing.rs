//! Mailings: what people sign, between protobuf and the domain.

use super::suspension::instant;
use super::{FieldErrors, proto, time};
use crate::domain::{ContentHash, Mailing, MailingAction, MailingId, OfferId, Timestamp};
use std::num::{NonZeroU32, NonZeroU64};

/// Reads a mailing that is proposed at `now`; `path` is where it stands in the request.
///
/// # Errors
/// Every field that cannot be used.
pub fn read_mailing(
    given: &proto::Mailing,
    path: &str,
    now: Timestamp,
) -> Result<Mailing, FieldErrors> {
    let mut errors = FieldErrors::default();
    let at = |field: &str| format!("{path}.{field}");
    let id = errors.parse(&at("id"), &given.id, MailingId::parse);
    let offer = errors.parse(&at("offer"), &given.offer, OfferId::parse);
    let action = match given.action() {
        proto::Action::Offer => Some(MailingAction::Offer),
        proto::Action::Notify => Some(MailingAction::Notify),
        _ => {
            errors.add(at("action"), "is required: ACTION_OFFER or ACTION_NOTIFY");
            None
        }
    };
    let mut hash = |field: &str, text: &str| {
        let hash = ContentHash::parse(text);
        if hash.is_none() {
            errors.add(at(field), "must be SHA-256 as 64 lower-case hexadecimal digits");
        }
        hash
    };
    let audience = hash("audience_sha256", &given.audience_sha256);
    let template = hash("template_sha256", &given.template_sha256);
    let settings = match given.settings_sha256.as_str() {
        "" => None,
        text => hash("settings_sha256", text),
    };
    let recipients = NonZeroU64::new(given.audience_count);
    if recipients.is_none() {
        errors.add(at("audience_count"), "must be 1 or more");
    }
    let per_second = NonZeroU32::new(given.per_second);
    if per_second.is_none() {
        errors.add(at("per_second"), "must be 1 or more");
    }
    let not_before = instant(given.not_before.as_ref(), &at("not_before"), &mut errors);
    let not_after = instant(given.not_after.as_ref(), &at("not_after"), &mut errors);
    if given.not_after.is_none() {
        errors.add(at("not_after"), "is required");
    }
    if not_after.is_some_and(|end| end <= now || not_before.is_some_and(|start| end <= start)) {
        errors.add(at("not_after"), "must be later than now and than `not_before`");
    }
    let whole = (|| {
        Some(Mailing {
            id: id?,
            offer: offer?,
            action: action?,
            audience: audience?,
            recipients: recipients?,
            template: template?,
            settings,
            not_before,
            not_after: not_after?,
            per_second: per_second?,
        })
    })();
    match whole {
        Some(mailing) => errors.or(|| mailing),
        None => Err(errors),
    }
}

/// Writes a mailing.
#[must_use]
pub fn write_mailing(mailing: &Mailing) -> proto::Mailing {
    let action = match mailing.action {
        MailingAction::Offer => proto::Action::Offer,
        MailingAction::Notify => proto::Action::Notify,
    };
    proto::Mailing {
        id: mailing.id.to_string(),
        offer: mailing.offer.to_string(),
        action: action.into(),
        audience_sha256: mailing.audience.to_string(),
        audience_count: mailing.recipients.get(),
        template_sha256: mailing.template.to_string(),
        settings_sha256: mailing.settings.map(|hash| hash.to_string()).unwrap_or_default(),
        not_before: mailing.not_before.map(time::write),
        not_after: Some(time::write(mailing.not_after)),
        per_second: mailing.per_second.get(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn given() -> proto::Mailing {
        proto::Mailing {
            id: "kis-notice".into(),
            offer: "kis-12m".into(),
            action: proto::Action::Notify.into(),
            audience_sha256: "a".repeat(64),
            audience_count: 290_000,
            template_sha256: "b".repeat(64),
            settings_sha256: "c".repeat(64),
            not_before: Some(prost_types::Timestamp { seconds: 100, nanos: 0 }),
            not_after: Some(prost_types::Timestamp { seconds: 200, nanos: 0 }),
            per_second: 50,
        }
    }

    #[test]
    fn a_mailing_reads_back_as_it_was_written() {
        let read = read_mailing(&given(), "mailing", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(write_mailing(&read), given());
        let plain = proto::Mailing { settings_sha256: String::new(), not_before: None, ..given() };
        let read = read_mailing(&plain, "mailing", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(write_mailing(&read), plain);
    }

    #[test]
    fn everything_that_cannot_be_signed_is_told_at_once() {
        let errors =
            read_mailing(&proto::Mailing::default(), "mailing", Timestamp::UNIX_EPOCH).unwrap_err();
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "mailing.id",
                "mailing.offer",
                "mailing.action",
                "mailing.audience_sha256",
                "mailing.template_sha256",
                "mailing.audience_count",
                "mailing.per_second",
                "mailing.not_after",
            ]
        );
        for (bad, path) in [
            (proto::Mailing { action: proto::Action::Use.into(), ..given() }, "mailing.action"),
            (
                proto::Mailing { settings_sha256: "C".repeat(64), ..given() },
                "mailing.settings_sha256",
            ),
            (proto::Mailing { not_after: given().not_before, ..given() }, "mailing.not_after"),
        ] {
            let errors = read_mailing(&bad, "mailing", Timestamp::UNIX_EPOCH).unwrap_err();
            assert_eq!(errors.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), [path]);
        }
        let late = Timestamp::from_second(200).unwrap();
        assert!(read_mailing(&given(), "mailing", late).is_err(), "it is over");
    }
}
