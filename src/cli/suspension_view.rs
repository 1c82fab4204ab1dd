//! Suspensions and exemptions as the command line prints them: the fields of rule files, by the
//! names of rule files.

use super::decision_view::{MessageView, bare};
use super::exit::Failure;
use super::instants::shown;
use super::output::Answer;
use super::text::{Text, to_the_second};
use crate::wire::proto;
use serde::Serialize;

/// A suspension.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SuspensionView {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) target: TargetView,
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<String>,
    #[serde(flatten)]
    pub(super) scope: ScopeView,
    pub(super) from: Option<String>,
    pub(super) until: Option<String>,
    lifted_at: Option<String>,
    review_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grandfather: Option<GrandfatherView>,
    advisories: Vec<String>,
    ticket: String,
    reason: String,
    customer_message: Option<MessageView>,
}

/// What is suspended: one key, `vendor`, `product` or `offer`, and its id.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetView {
    Vendor(String),
    Product(String),
    Offer(String),
    /// Broken: the server sent none.
    None,
}

#[derive(Debug, Clone, Serialize)]
struct GrandfatherView {
    accepted_before: Option<String>,
    until: Option<String>,
}

/// The dimensions that are stated.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ScopeView {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    countries: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    person_nexus: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    segments: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holders: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relationships: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    product_classes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    customers: Vec<String>,
}

impl SuspensionView {
    pub(super) fn of(suspension: proto::Suspension) -> Result<Self, Failure> {
        use proto::target::Target;
        let state = bare(suspension.state().as_str_name(), "SUSPENSION_STATE_");
        let reach = bare(suspension.reach().as_str_name(), "REACH_");
        let components = bare(suspension.components().as_str_name(), "COMPONENT_REACH_");
        let target = match suspension.target.and_then(|target| target.target) {
            Some(Target::Vendor(id)) => TargetView::Vendor(id),
            Some(Target::Product(id)) => TargetView::Product(id),
            Some(Target::Offer(id)) => TargetView::Offer(id),
            None => TargetView::None,
        };
        let of_vendor = matches!(target, TargetView::Vendor(_));
        let grandfather = suspension.grandfather.map(|clause| {
            Ok::<_, Failure>(GrandfatherView {
                accepted_before: shown(clause.accepted_before.as_ref())?,
                until: shown(clause.until_time.as_ref())?,
            })
        });
        Ok(Self {
            id: suspension.id,
            state,
            target,
            reach: of_vendor.then_some(reach),
            components: of_vendor.then_some(components),
            scope: ScopeView::of(suspension.scope.unwrap_or_default()),
            from: shown(suspension.from_time.as_ref())?,
            until: shown(suspension.until_time.as_ref())?,
            lifted_at: shown(suspension.lifted_at.as_ref())?,
            review_by: suspension.review_by,
            grandfather: grandfather.transpose()?,
            advisories: suspension.advisories,
            ticket: suspension.ticket,
            reason: suspension.reason,
            customer_message: suspension.customer_message.map(MessageView::of),
        })
    }

    /// The fields for people.
    pub(super) fn fields(&self, text: &mut Text) {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        text.fields(&[
            ("suspension", self.id.clone()),
            ("state", self.state.clone()),
            ("target", self.target.shown()),
            ("reach", or_nothing(&self.reach)),
            ("components", or_nothing(&self.components)),
            ("scope", self.scope.shown()),
            ("from", to_the_second(self.from.as_ref())),
            ("until", to_the_second(self.until.as_ref())),
            ("lifted at", to_the_second(self.lifted_at.as_ref())),
            ("review by", or_nothing(&self.review_by)),
            ("advisories", self.advisories.join(", ")),
            ("ticket", self.ticket.clone()),
            ("reason", self.reason.clone()),
            (
                "customers may read",
                self.customer_message.as_ref().map(MessageView::shown).unwrap_or_default(),
            ),
        ]);
    }
}

impl Answer for SuspensionView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "target.vendor",
        "target.product",
        "target.offer",
        "actions",
        "countries",
        "from",
        "until",
        "lifted_at",
        "ticket",
        "reason",
    ];

    fn text(&self, text: &mut Text) {
        self.fields(text);
    }
}

impl TargetView {
    /// Such as `vendor kaspersky-labs-ltd`.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Vendor(id) => format!("vendor {id}"),
            Self::Product(id) => format!("product {id}"),
            Self::Offer(id) => format!("offer {id}"),
            Self::None => String::new(),
        }
    }
}

impl ScopeView {
    pub(super) fn of(scope: proto::Scope) -> Self {
        let actions = scope.actions().map(|action| bare(action.as_str_name(), "ACTION_"));
        let nexus = scope.person_nexus().map(|nexus| bare(nexus.as_str_name(), "PERSON_NEXUS_"));
        let holders = scope.holders().map(|holder| bare(holder.as_str_name(), "HOLDER_"));
        let relationships = scope
            .relationships()
            .map(|relationship| bare(relationship.as_str_name(), "RELATIONSHIP_"));
        Self {
            actions: actions.collect(),
            person_nexus: nexus.collect(),
            holders: holders.collect(),
            relationships: relationships.collect(),
            countries: scope.countries,
            segments: scope.segments,
            devices: scope.devices,
            channels: scope.channels,
            product_classes: scope.product_classes,
            customers: scope.customers,
        }
    }

    /// Such as `actions OFFER RENEW; countries GB`.
    pub(super) fn shown(&self) -> String {
        let dimensions = [
            ("actions", &self.actions),
            ("countries", &self.countries),
            ("person_nexus", &self.person_nexus),
            ("segments", &self.segments),
            ("holders", &self.holders),
            ("relationships", &self.relationships),
            ("devices", &self.devices),
            ("channels", &self.channels),
            ("product_classes", &self.product_classes),
            ("customers", &self.customers),
        ];
        let stated = dimensions.into_iter().filter(|(_, values)| !values.is_empty());
        let parts = stated.map(|(name, values)| format!("{name} {}", values.join(" ")));
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// An exemption.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ExemptionView {
    pub(super) id: String,
    pub(super) waives: Vec<String>,
    #[serde(flatten)]
    scope: ScopeView,
    from: Option<String>,
    until: Option<String>,
    ticket: String,
    reason: String,
}

impl ExemptionView {
    pub(super) fn of(exemption: proto::Exemption) -> Result<Self, Failure> {
        Ok(Self {
            id: exemption.id,
            waives: exemption.waives,
            scope: ScopeView::of(exemption.scope.unwrap_or_default()),
            from: shown(exemption.from_time.as_ref())?,
            until: shown(exemption.until_time.as_ref())?,
            ticket: exemption.ticket,
            reason: exemption.reason,
        })
    }

    /// The fields for people.
    pub(super) fn fields(&self, text: &mut Text) {
        text.fields(&[
            ("exemption", self.id.clone()),
            ("waives", self.waives.join(", ")),
            ("scope", self.scope.shown()),
            ("from", to_the_second(self.from.as_ref())),
            ("until", to_the_second(self.until.as_ref())),
            ("ticket", self.ticket.clone()),
            ("reason", self.reason.clone()),
        ]);
    }
}
