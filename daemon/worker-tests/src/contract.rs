//! What a version of the contract has promised, and whether another one keeps it.
//!
//! Types of the component model are structural: one more field breaks every component there is. So exported interfaces
//! and all types stay as they are, and only what guests import may grow. Whatever is marked `@unstable` promises
//! nothing and is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, PackageId, Resolve, SourceMap, Stability, Type,
    TypeDefKind, TypeId, WorldItem, WorldKey,
};

#[cfg(test)]
mod tests;

/// What to do instead, for the message of a refusal.
pub const INSTEAD: &str = "\
components built for that version must keep loading. A new field goes into an `attributes` list, a new kind of event \
into `payload.other`; a new function, type or interface goes to the import side, with `@since` and the next version of \
the package; what is still being tried out is marked `@unstable`. Everything else is a new package version beside this \
one.";

type Version = (u64, u64, u64);

/// The stable part of a package, in a form that can be compared.
#[derive(Debug)]
pub struct Contract {
    name: String,
    version: Version,
    interfaces: BTreeMap<String, Interface>,
    worlds: BTreeMap<String, World>,
}

#[derive(Debug)]
struct Interface {
    since: Option<Version>,
    /// Types and functions by name.
    items: BTreeMap<String, Item>,
}

#[derive(Debug)]
struct Item {
    /// Its whole definition in one line; other types are named.
    form: String,
    since: Option<Version>,
    /// A `use`: a name for a type that is looked at where it is defined.
    is_use: bool,
}

#[derive(Debug)]
struct World {
    since: Option<Version>,
    imports: BTreeMap<String, Option<Version>>,
    exports: BTreeSet<String>,
}

impl Contract {
    /// Reads the package in this directory.
    ///
    /// # Panics
    /// When it is none, or has no version.
    pub fn read(directory: &Path) -> Self {
        let mut sources = SourceMap::new();
        sources.push_dir(directory).unwrap();
        Self::of(sources)
    }

    /// The package that these files make up.
    ///
    /// # Panics
    /// As [`Self::read`].
    pub fn of(sources: SourceMap) -> Self {
        let mut resolve = Resolve::default();
        let group = sources
            .parse()
            .unwrap_or_else(|(_, error)| panic!("not a contract: {error}"));
        let package = resolve
            .push_group(group)
            .unwrap_or_else(|error| panic!("not a contract: {error}"));
        Reader(&resolve).contract(package)
    }

    /// The interfaces of the host: those that some world imports.
    pub fn imported(&self) -> BTreeSet<String> {
        let worlds = self.worlds.values();
        worlds.flat_map(|w| w.imports.keys().cloned()).collect()
    }

    /// The version, as in `0.1.0`.
    pub fn version(&self) -> String {
        let (major, minor, patch) = self.version;
        format!("{major}.{minor}.{patch}")
    }

    /// Everything that components built for this version would miss or misread in `later`, and additions that do not say
    /// since when they are there.
    pub fn broken_by(&self, later: &Self) -> Vec<String> {
        let mut broken = Vec::new();
        let (major, minor, patch) = self.version;
        let series = |(major, minor, _): Version| (major, minor);
        if later.name != self.name
            || series(later.version) != (major, minor)
            || later.version.2 < patch
        {
            let text = format!("the package is {} {}", later.name, later.version());
            broken.push(format!("{text} instead of {} {major}.{minor}.x", self.name));
        }
        let exported: BTreeSet<&String> = self
            .worlds
            .values()
            .flat_map(|world| &world.exports)
            .collect();
        for (name, interface) in &self.interfaces {
            match later.interfaces.get(name) {
                None => broken.push(format!("interface {name} is gone")),
                Some(other) if exported.contains(name) => {
                    interface.must_equal(other, name, &mut broken);
                }
                Some(other) => interface.may_grow(other, name, self.version, &mut broken),
            }
        }
        for (name, interface) in &later.interfaces {
            if !self.interfaces.contains_key(name) && !is_newer(interface.since, self.version) {
                broken.push(format!("interface {name} is new, without a newer @since"));
            }
        }
        for (name, world) in &self.worlds {
            match later.worlds.get(name) {
                None => broken.push(format!("world {name} is gone")),
                Some(other) => world.may_grow(other, name, self.version, &mut broken),
            }
        }
        for (name, world) in &later.worlds {
            if !self.worlds.contains_key(name) && !is_newer(world.since, self.version) {
                broken.push(format!("world {name} is new, without a newer @since"));
            }
        }
        broken
    }
}

impl Interface {
    fn must_equal(&self, other: &Self, name: &str, broken: &mut Vec<String>) {
        self.must_keep(other, name, broken);
        for new in other
            .items
            .keys()
            .filter(|key| !self.items.contains_key(*key))
        {
            broken.push(format!(
                "interface {name}, which plugins export: {new} is new"
            ));
        }
    }

    fn may_grow(&self, other: &Self, name: &str, version: Version, broken: &mut Vec<String>) {
        self.must_keep(other, name, broken);
        for (new, item) in &other.items {
            let known = self.items.contains_key(new) || item.is_use;
            if !known && !is_newer(item.since, version) {
                broken.push(format!(
                    "interface {name}: {new} is new, without a newer @since"
                ));
            }
        }
    }

    fn must_keep(&self, other: &Self, name: &str, broken: &mut Vec<String>) {
        for (key, item) in &self.items {
            match other.items.get(key) {
                None => broken.push(format!("interface {name}: {key} is gone")),
                Some(other) if other.form != item.form => broken.push(format!(
                    "interface {name}: {key} was\n    {}\n  and is\n    {}",
                    item.form, other.form
                )),
                Some(_) => {}
            }
        }
    }
}

impl World {
    fn may_grow(&self, other: &Self, name: &str, version: Version, broken: &mut Vec<String>) {
        if self.exports != other.exports {
            broken.push(format!(
                "world {name} exports {:?} instead of {:?}",
                other.exports, self.exports
            ));
        }
        for gone in self
            .imports
            .keys()
            .filter(|import| !other.imports.contains_key(*import))
        {
            broken.push(format!("world {name} no longer imports {gone}"));
        }
        for (new, since) in &other.imports {
            if !self.imports.contains_key(new) && !is_newer(*since, version) {
                broken.push(format!(
                    "world {name} imports {new}, without a newer @since"
                ));
            }
        }
    }
}

fn is_newer(since: Option<Version>, than: Version) -> bool {
    since.is_some_and(|since| since > than)
}

fn since(stability: &Stability) -> Option<Version> {
    match stability {
        Stability::Stable { since, .. } => Some((since.major, since.minor, since.patch)),
        Stability::Unknown | Stability::Unstable { .. } => None,
    }
}

/// Puts the pieces of a parsed package into words.
struct Reader<'a>(&'a Resolve);

impl Reader<'_> {
    fn contract(&self, package: PackageId) -> Contract {
        let package = &self.0.packages[package];
        let version = package.name.version.as_ref().expect("a version");
        let interfaces = package.interfaces.iter();
        let worlds = package.worlds.iter();
        Contract {
            name: format!("{}:{}", package.name.namespace, package.name.name),
            version: (version.major, version.minor, version.patch),
            interfaces: interfaces
                .map(|(name, id)| (name.clone(), self.interface(*id)))
                .collect(),
            worlds: worlds
                .map(|(name, id)| {
                    let world = &self.0.worlds[*id];
                    let imports = world.imports.iter();
                    let exports = world.exports.iter();
                    let world = World {
                        since: since(&world.stability),
                        imports: imports
                            .map(|(key, item)| (self.key(key, item), since(item.stability(self.0))))
                            .collect(),
                        exports: exports.map(|(key, item)| self.key(key, item)).collect(),
                    };
                    (name.clone(), world)
                })
                .collect(),
        }
    }

    /// What a world imports or exports: an interface by its name, a function with its type.
    fn key(&self, key: &WorldKey, item: &WorldItem) -> String {
        match (key, item) {
            (_, WorldItem::Function(function)) => self.function(function),
            (_, WorldItem::Type { id, .. }) => self.definition(*id),
            (WorldKey::Name(name), WorldItem::Interface { .. }) => name.clone(),
            (WorldKey::Interface(id), WorldItem::Interface { .. }) => self.name_of(*id),
        }
    }

    fn name_of(&self, id: InterfaceId) -> String {
        self.0.interfaces[id].name.clone().unwrap_or_default()
    }

    fn interface(&self, id: InterfaceId) -> Interface {
        let interface = &self.0.interfaces[id];
        let types = interface.types.iter().map(|(name, id)| {
            let ty = &self.0.types[*id];
            let item = Item {
                form: self.definition(*id),
                since: since(&ty.stability),
                is_use: self.used(*id).is_some(),
            };
            (format!("{} {name}", ty.kind.as_str()), item)
        });
        let functions = interface.functions.iter().map(|(name, function)| {
            let item = Item {
                form: self.function(function),
                since: since(&function.stability),
                is_use: false,
            };
            (format!("function {name}"), item)
        });
        Interface {
            since: since(&interface.stability),
            items: types.chain(functions).collect(),
        }
    }

    fn function(&self, function: &Function) -> String {
        let params = function.params.iter();
        let params: Vec<String> = params
            .map(|param| format!("{}: {}", param.name, self.ty(&param.ty)))
            .collect();
        let is_async = matches!(
            function.kind,
            FunctionKind::AsyncFreestanding
                | FunctionKind::AsyncMethod(_)
                | FunctionKind::AsyncStatic(_)
        );
        let result = function
            .result
            .as_ref()
            .map(|ty| format!(" -> {}", self.ty(ty)));
        format!(
            "{}: {}func({}){}",
            function.name,
            if is_async { "async " } else { "" },
            params.join(", "),
            result.unwrap_or_default()
        )
    }

    /// The type of another interface that this one is a name for.
    fn used(&self, id: TypeId) -> Option<TypeId> {
        let ty = &self.0.types[id];
        match ty.kind {
            TypeDefKind::Type(Type::Id(other)) if self.0.types[other].owner != ty.owner => {
                Some(other)
            }
            _ => None,
        }
    }

    fn definition(&self, id: TypeId) -> String {
        let ty = &self.0.types[id];
        if let Some(used) = self.used(id) {
            let used = &self.0.types[used];
            let owner = match used.owner {
                wit_parser::TypeOwner::Interface(id) => self.name_of(id),
                wit_parser::TypeOwner::World(_) | wit_parser::TypeOwner::None => String::new(),
            };
            return format!("use {owner}.{}", used.name.clone().unwrap_or_default());
        }
        self.kind(&ty.kind)
    }

    fn ty(&self, ty: &Type) -> String {
        match ty {
            Type::Id(id) => match &self.0.types[*id].name {
                Some(name) => name.clone(),
                None => self.kind(&self.0.types[*id].kind),
            },
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn optional(&self, ty: Option<&Type>) -> String {
        ty.map_or_else(|| "_".to_owned(), |ty| self.ty(ty))
    }

    fn kind(&self, kind: &TypeDefKind) -> String {
        let braces = |parts: Vec<String>| format!("{} {{ {} }}", kind.as_str(), parts.join(", "));
        match kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter();
                braces(
                    fields
                        .map(|f| format!("{}: {}", f.name, self.ty(&f.ty)))
                        .collect(),
                )
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter();
                let case = |case: &wit_parser::Case| match &case.ty {
                    Some(ty) => format!("{}({})", case.name, self.ty(ty)),
                    None => case.name.clone(),
                };
                braces(cases.map(case).collect())
            }
            TypeDefKind::Enum(choices) => {
                braces(choices.cases.iter().map(|case| case.name.clone()).collect())
            }
            TypeDefKind::Flags(flags) => {
                braces(flags.flags.iter().map(|flag| flag.name.clone()).collect())
            }
            TypeDefKind::Resource => "resource".to_owned(),
            TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", self.ty(&Type::Id(*id))),
            TypeDefKind::Handle(Handle::Borrow(id)) => {
                format!("borrow<{}>", self.ty(&Type::Id(*id)))
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.ty(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)),
            TypeDefKind::Result(result) => format!(
                "result<{}, {}>",
                self.optional(result.ok.as_ref()),
                self.optional(result.err.as_ref())
            ),
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)),
            TypeDefKind::Map(key, value) => format!("map<{}, {}>", self.ty(key), self.ty(value)),
            TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", self.ty(ty)),
            TypeDefKind::Future(ty) => format!("future<{}>", self.optional(ty.as_ref())),
            TypeDefKind::Stream(ty) => format!("stream<{}>", self.optional(ty.as_ref())),
            TypeDefKind::Type(ty) => self.ty(ty),
            TypeDefKind::Unknown => "unknown".to_owned(),
        }
    }
}
