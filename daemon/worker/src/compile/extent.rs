//! A look at what a component is made of, before anything is compiled: what costs the compiler far
//! more than it costs its author is refused in words.
//!
//! The look itself takes a time in proportion to the component's size, and no memory to speak of. It
//! proves nothing: whether the component is valid is for the compiler to say.

use wasmparser::{BinaryReaderError, Parser, Payload};

/// Modules and components within one another. A toolchain makes two levels.
const LEVELS: usize = 16;
/// Modules and components. A Python component has 38 modules.
const PARTS: usize = 512;
/// Functions of all modules. A JavaScript component has 21,000.
const FUNCTIONS: u64 = 250_000;
/// Types, imports, exports, aliases, instances, globals, elements, data: each kind over all parts.
const DEFINITIONS: u64 = 250_000;
/// Bytes of one function; the compiler takes more than proportionally long for larger ones. The
/// largest of today's interpreters takes 200 KB.
const FUNCTION: usize = 1 << 20;

/// Looks at a component.
///
/// # Errors
/// [`TooMuch`] with the first bound that it is over. What cannot be read at all is left to the
/// compiler.
pub(super) fn look(component: &[u8]) -> Result<(), TooMuch> {
    let mut extent = Extent::default();
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(payload) => extent.count(&payload)?,
            Err(BinaryReaderError { .. }) => return Ok(()),
        }
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Extent {
    level: usize,
    parts: usize,
    functions: u64,
    definitions: [u64; 8],
}

impl Extent {
    fn count(&mut self, payload: &Payload<'_>) -> Result<(), TooMuch> {
        let (kind, count) = match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.level += 1;
                self.parts += 1;
                within(
                    "levels of modules and components",
                    self.level as u64,
                    LEVELS as u64,
                )?;
                return within("modules and components", self.parts as u64, PARTS as u64);
            }
            Payload::End(_) => {
                self.level = self.level.saturating_sub(1);
                return Ok(());
            }
            Payload::FunctionSection(section) => {
                self.functions += u64::from(section.count());
                return within("functions", self.functions, FUNCTIONS);
            }
            Payload::CodeSectionEntry(body) => {
                let length = body.range().len();
                return within("bytes in one function", length as u64, FUNCTION as u64);
            }
            Payload::TypeSection(section) => (0, section.count()),
            Payload::CoreTypeSection(section) => (0, section.count()),
            Payload::ComponentTypeSection(section) => (0, section.count()),
            Payload::ImportSection(section) => (1, section.count()),
            Payload::ComponentImportSection(section) => (1, section.count()),
            Payload::ExportSection(section) => (2, section.count()),
            Payload::ComponentExportSection(section) => (2, section.count()),
            Payload::ComponentAliasSection(section) => (3, section.count()),
            Payload::ComponentCanonicalSection(section) => (3, section.count()),
            Payload::InstanceSection(section) => (4, section.count()),
            Payload::ComponentInstanceSection(section) => (4, section.count()),
            Payload::GlobalSection(section) => (5, section.count()),
            Payload::ElementSection(section) => (6, section.count()),
            Payload::DataSection(section) => (7, section.count()),
            _ => return Ok(()),
        };
        const KINDS: [&str; 8] = [
            "types",
            "imports",
            "exports",
            "aliases and adapters",
            "instances",
            "globals",
            "segments of elements",
            "segments of data",
        ];
        self.definitions[kind] += u64::from(count);
        within(KINDS[kind], self.definitions[kind], DEFINITIONS)
    }
}

fn within(what: &'static str, count: u64, most: u64) -> Result<(), TooMuch> {
    if count > most {
        return Err(TooMuch { what, count, most });
    }
    Ok(())
}

/// A component is over a bound.
#[derive(Debug, thiserror::Error)]
#[error("has {count} {what}, and {most} are allowed")]
pub(super) struct TooMuch {
    what: &'static str,
    count: u64,
    most: u64,
}
