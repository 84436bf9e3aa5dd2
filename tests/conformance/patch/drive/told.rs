//! Events of ours as a case's listeners are told of them.
//!
//! Owns subscriptions, plugins, and what they see of an event.

use super::*;

pub(super) fn subscribe(patcher: &Patcher, place: usize) -> Vec<Subscription> {
    let bus = patcher.bus();
    let will = move |told: &Told<'_>| world().told_will(false, place, told);
    let did = move |told: &Told<'_>| world().told_did(false, place, told);
    vec![
        bus.topic::<WillPatchAll>().subscribe(move |event| will(&Told::will_all(event))),
        bus.topic::<WillPatchModule>().subscribe(move |event| will(&Told::will(event))),
        bus.topic::<DidPatchModule>().subscribe(move |event| did(&Told::did(event))),
        bus.topic::<DidPatchBuiltinModules>().subscribe(move |event| did(&Told::did_builtins(event))),
        bus.topic::<DidPatchAll>().subscribe(move |event| did(&Told::did_all(event))),
    ]
}

// Plugins are plain functions, so each has a number.

fn call<const N: usize>(event: &dyn AnyEvent) -> Result<(), BusStop> {
    let world = world();
    if let Some(event) = event.downcast_ref() {
        return world.told_will(true, N, &Told::will_all(event));
    }
    if let Some(event) = event.downcast_ref() {
        return world.told_will(true, N, &Told::will(event));
    }
    let told = if let Some(event) = event.downcast_ref() {
        world.told_did(true, N, &Told::did(event))
    } else if let Some(event) = event.downcast_ref() {
        world.told_did(true, N, &Told::did_builtins(event))
    } else if let Some(event) = event.downcast_ref() {
        world.told_did(true, N, &Told::did_all(event))
    } else {
        Err("an event that no plugin is for".into())
    };
    told.map_err(BusStop::fail)
}

pub(super) type PluginCall = fn(&dyn AnyEvent) -> Result<(), BusStop>;

pub(super) static CALLS: [PluginCall; 12] = [
    call::<0>, call::<1>, call::<2>, call::<3>, call::<4>, call::<5>, call::<6>, call::<7>, call::<8>,
    call::<9>, call::<10>, call::<11>,
];

pub(super) fn plugin((place, (plugin, call)): (usize, (&Listener, &PluginCall))) -> &'static Plugin {
    let entry_point = match plugin.group.as_deref() {
        Some(WILL_ALL) => entry_points::WILL_PATCH_ALL,
        Some(WILL) => entry_points::WILL_PATCH_MODULE,
        Some(DID) => entry_points::DID_PATCH_MODULE,
        Some(DID_BUILTINS) => entry_points::DID_PATCH_BUILTINS,
        _ => entry_points::DID_PATCH_ALL,
    };
    // Two of a case may have one name; ours may not.
    let name = leak(&format!("{place}.{}", plugin.id));
    let later = i32::try_from(place).expect("there are few");
    Box::leak(Box::new(Plugin::any(name, entry_point, *call).priority(-later)))
}

pub(super) fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// What a listener or a hook is told.
pub(super) struct Told<'a> {
    pub(super) event: &'static str,
    pub(super) module: Option<&'static str>,
    pub(super) source: Option<&'a str>,
    pub(super) target: Option<&'static Module>,
    pub(super) items: Option<&'a Items>,
    pub(super) pass: Option<(&'a Args, &'a Extra)>,
    pub(super) will_all: Option<&'a WillPatchAll>,
    pub(super) warn: &'a dyn Fn(&str),
}

impl<'a> Told<'a> {
    fn of(event: &'static str, told: &'a dyn PatchEvent) -> Self {
        Self {
            event,
            module: None,
            source: told.source().map(|source| source.name()),
            target: told.target(),
            items: None,
            pass: None,
            will_all: None,
            warn: &|_| {},
        }
    }

    fn will_all(event: &'a WillPatchAll) -> Self {
        let pass = Some((event.arguments(), event.extra()));
        Self { pass, will_all: Some(event), ..Self::of(WILL_ALL, event) }
    }

    fn will(event: &'a WillPatchModule) -> Self {
        let items = Some(event.target_item_names());
        Self { module: Some(event.module_name()), items, ..Self::of(WILL, event) }
    }

    fn did(event: &'a DidPatchModule) -> Self {
        Self { module: Some(event.module_name()), ..Self::of(DID, event) }
    }

    fn did_builtins(event: &'a DidPatchBuiltinModules) -> Self {
        Self { pass: Some((event.arguments(), event.extra())), ..Self::of(DID_BUILTINS, event) }
    }

    fn did_all(event: &'a DidPatchAll) -> Self {
        Self { pass: Some((event.arguments(), event.extra())), ..Self::of(DID_ALL, event) }
    }
}
