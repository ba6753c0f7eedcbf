//! Another configuration, and everything that is derived from one.

use std::collections::HashMap;

use super::Engine;
use crate::deadlines::Holder;
use crate::event::Cause;
use crate::health::{Check, Checks, Told};
use crate::record::RouterKey;
use crate::settings::{CheckSettings, RouterSettings, Settings};
use crate::time::Now;
use crate::vrrp::Router;

impl Engine {
    /// Takes another configuration. What keeps its identity keeps its state (architecture rule 10).
    pub(super) fn reconfigure(&mut self, now: Now, settings: &Settings) {
        if self.stopping {
            let subject = "configuration".to_owned();
            let message = "not applied: the daemon is stopping".to_owned();
            self.outbox.notice(subject, true, message);
            return;
        }
        self.generation = settings.generation;
        self.replace_checks(now, &settings.checks);
        let mut wanted: HashMap<RouterKey, &RouterSettings> = HashMap::new();
        for router in &settings.routers {
            wanted.insert(RouterKey::of(router), router);
        }
        for index in 0..self.routers.len() {
            let settings = wanted.remove(self.routers[index].key());
            self.with_router(now, index, |router, context| match settings {
                Some(settings) => {
                    if router.is_removed() {
                        router.revive();
                    }
                    router.reconfigure(context, settings.clone());
                }
                None if !router.is_removed() => router.stop(context, Cause::Removed),
                None => {}
            });
        }
        let new = wanted.into_values().cloned();
        self.routers
            .extend(new.map(|settings| Router::new(settings, None, now)));
        let order: HashMap<RouterKey, usize> = settings
            .routers
            .iter()
            .enumerate()
            .map(|(place, settings)| (RouterKey::of(settings), place))
            .collect();
        self.routers
            .sort_by_key(|router| order.get(router.key()).copied().unwrap_or(usize::MAX));
        self.index();
        self.review_all(now);
    }

    pub(super) fn replace_checks(&mut self, now: Now, settings: &[CheckSettings]) {
        let mut before: Vec<Check> = std::mem::take(&mut self.checks).into_list();
        let mut told: HashMap<String, Told> = before
            .iter_mut()
            .map(|check| (check.name().to_owned(), check.take_told()))
            .collect();
        let after = settings.iter().map(|settings| {
            let mut check = match before
                .iter()
                .position(|check| check.identity() == settings.identity)
            {
                Some(position) => {
                    let mut check = before.swap_remove(position);
                    check.reconfigure(settings.clone());
                    check
                }
                None => Check::new(settings.clone(), None, now.boottime).on_probation(now.boottime),
            };
            check.set_told(told.remove(&settings.name).unwrap_or_default());
            check
        });
        self.checks = Checks::new(after.collect());
    }

    pub(super) fn drop_removed(&mut self) {
        let gone = |router: &Router| router.is_removed() && router.let_go();
        if self.routers.iter().any(gone) {
            self.routers.retain(|router| !gone(router));
            self.index();
            self.route();
            self.listen();
        }
    }

    /// Rebuilds what is derived from the lists of routers and checks.
    pub(super) fn index(&mut self) {
        self.trackers.clear();
        self.deadlines.clear();
        for (index, router) in self.routers.iter().enumerate() {
            for track in &router.settings().track {
                self.trackers
                    .entry(track.check.clone())
                    .or_default()
                    .push(index);
            }
            for prefix in &router.settings().addresses {
                self.interfaces.claim(&router.key().interface, *prefix);
            }
            self.deadlines.set(Holder::Router(index), router.deadline());
        }
        for (index, check) in self.checks.iter().enumerate() {
            self.deadlines.set(Holder::Check(index), check.deadline());
        }
        self.deadlines.set(Holder::Leftovers, self.leftovers.retry);
        for (interface, listening) in &self.listening {
            self.deadlines
                .set(Holder::Socket(*interface), listening.retry);
        }
    }

    pub(super) fn route(&mut self) {
        let routers = self.routers.iter().enumerate();
        self.routes = routers
            .filter_map(|(index, router)| Some(((router.index()?, router.key().id), index)))
            .collect();
    }
}
