//! The way from the model to the product's own functions, and back.
//!
//! The model keeps ages, the product reads instants: an age becomes the instant so long before `NOW`.
//!
//! Invariant: whatever decides about leases, reigns and the barrier is decided by `offergate::replica`.
//! A wrong variant gives it wrong instants or wrong counts, or leaves it out.

use crate::state::{Confirm, Data, Place, REPLICAS, Said, Ticks};
use offergate::domain::{ChainHash, Lineage, Revision};
use offergate::replica::{
    AfterRenewal, Barrier, BootTime, Lease, Reigns, Terms, Verdict, after_renewal,
};
use offergate::store::{
    Confirmation, Fleet, Head, Incarnation, Reign, Renewal, ReplicaName, Sighting, Standing,
};
use std::sync::LazyLock;
use std::time::Duration;

const TICK: Duration = Duration::from_secs(1);
pub(crate) const NOW: BootTime = Duration::from_secs(1000);

/// Leases of so many ticks. All clocks run alike here, so that there is nothing to take off; what the
/// drift and the margin are worth is shown beside [`Terms`].
pub(crate) fn terms(limit: Ticks) -> Terms {
    Terms { limit: TICK * limit.into(), drift: 0, margin: Duration::ZERO }
}

pub(crate) fn ago(age: Ticks) -> BootTime {
    NOW - TICK * age.into()
}

static LINEAGE: LazyLock<Lineage> =
    LazyLock::new(|| Lineage::parse(&"a".repeat(32)).expect("hexadecimal digits"));
static MEMBERS: LazyLock<[Sighting; REPLICAS]> = LazyLock::new(|| ["a", "b"].map(member));
static REIGNS: LazyLock<[Reign; 32]> =
    LazyLock::new(|| std::array::from_fn(|reign| Reign(format!("r{reign}").into())));

fn member(name: &str) -> Sighting {
    Sighting {
        name: ReplicaName::parse(name).expect("a name"),
        incarnation: Incarnation::parse(&name.repeat(32)).expect("hexadecimal digits"),
        address: String::new(),
        revision: Revision::ZERO,
        chain: ChainHash::ZERO,
        beats: 0,
    }
}

fn head(place: Place) -> Head {
    let (lineage, revision) = (LINEAGE.clone(), revision(place));
    Head { lineage, revision, chain: ChainHash([place as u8; 32]) }
}

fn revision(place: Place) -> Revision {
    Revision(place as u64)
}

fn reign(reign: u8) -> Reign {
    REIGNS[usize::from(reign)].clone()
}

/// What a store that holds `data` says of `place`: the contract of `SharedStore::renew` and `fleet`.
pub(crate) fn said(data: &Data, place: Place) -> Said {
    if data.forked || data.place < place {
        Said::Forked
    } else if data.place == place {
        Said::Newest
    } else {
        Said::Behind
    }
}

fn standing(said: Said) -> Standing {
    match said {
        Said::Newest => Standing::Newest,
        Said::Behind => Standing::Behind,
        Said::Forked => Standing::Forked { part: false },
    }
}

/// How long a lease runs that had `left` to run, once the answer to a renewal of that age arrives.
pub(crate) fn lease_after(terms: &Terms, left: Ticks, age: Ticks, said: Said) -> Ticks {
    let renewal = Renewal { standing: standing(said), newest: Revision(1), reign: reign(0) };
    let lease = Lease::default();
    if 0 < left {
        lease.extend_to(NOW + TICK * left.into());
    }
    match after_renewal(terms, ago(age), &renewal) {
        AfterRenewal::Extend(end) => lease.extend_to(end),
        AfterRenewal::CatchUp => {}
        AfterRenewal::Drop(_) => lease.cut(),
    }
    let left = lease.left_at(NOW);
    assert_eq!(lease.holds_at(NOW), !left.is_zero(), "a lease holds while it has time left");
    ticks(left)
}

fn ticks(span: Duration) -> Ticks {
    assert_eq!(span.subsec_nanos(), 0, "the model's clock ticks in whole seconds");
    Ticks::try_from(span.as_secs()).expect("a short span")
}

/// Whether a question to the store came back with "no fail-over can lose it", where `nodes` could be
/// promoted.
pub(crate) fn is_durable(confirm: &Confirm, said: Said, named: u8, nodes: u32) -> bool {
    let (standing, copies) = (standing(said), confirm.count());
    let limit = Duration::from_secs(1); // Nothing here depends on it.
    Confirmation { standing, reign: reign(named), limit, copies, nodes }.is_durable()
}

/// What the coordinator knows of reigns: the newest, and how long ago all nodes followed it.
pub(crate) type Known = Option<(u8, Option<Ticks>)>;

/// The product's value for it.
pub(crate) fn reigns(known: Known) -> Reigns {
    let mut reigns = Reigns::default();
    if let Some((newest, since)) = known {
        reigns.saw(&reign(newest));
        if let Some(age) = since {
            reigns.all_followed(&reign(newest), ago(age));
        }
    }
    reigns
}

/// Somebody answered in a reign.
pub(crate) fn saw(known: Known, named: u8) -> Known {
    let before = reigns(known);
    let mut after = before.clone();
    after.saw(&reign(named));
    if after == before { known } else { the_one(&after, [Some((named, None))]) }
}

/// All nodes followed a reign, so long ago.
pub(crate) fn all_followed(known: Known, named: u8, age: Ticks) -> Known {
    let mut after = reigns(known);
    after.all_followed(&reign(named), ago(age));
    the_one(&after, [known, Some((named, Some(age)))])
}

/// Which of the candidates the product's value is.
fn the_one<const N: usize>(value: &Reigns, candidates: [Known; N]) -> Known {
    let found = candidates.into_iter().find(|known| reigns(*known) == *value);
    found.expect("what the model can say of reigns")
}

/// How a look at the store ended.
pub(crate) enum Look {
    Enforced { by_list: bool },
    Waiting,
    OtherReign,
    Lost,
}

/// Looks, at a node that holds `data` and reigns as `named`, how far the suspension is that was known
/// to be durable `age` ago in the reign `durable_in`.
pub(crate) fn look(
    terms: &Terms,
    (durable_in, age): (u8, Ticks),
    known: Known,
    (data, named): (&Data, u8),
) -> Look {
    let barrier = Barrier::begin(head(Place::Suspended), reign(durable_in), ago(age), terms);
    let listed = MEMBERS.iter().zip(data.list);
    let members = listed.filter_map(|(member, place)| {
        Some(Sighting { revision: revision(place?), chain: head(place?).chain, ..member.clone() })
    });
    let fleet = Fleet {
        standing: standing(said(data, Place::Suspended)),
        newest: revision(data.place),
        reign: reign(named),
        limit: terms.limit,
        members: members.collect(),
    };
    match barrier.look(&fleet, &reigns(known), NOW, terms) {
        Verdict::Enforced { .. } => Look::Enforced { by_list: NOW < barrier.leases_end() },
        Verdict::Waiting { .. } => Look::Waiting,
        Verdict::OtherReign => Look::OtherReign,
        Verdict::Lost | Verdict::OtherLineage => Look::Lost,
    }
}
