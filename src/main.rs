//! The `portcullis` command.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let r = match arguments.get(1).map(String::as_str) {
        Some("demo") => portcullis::demo::run(8080, None),
        _ => portcullis::config::Config::load(std::path::Path::new(arguments.last().map_or("", String::as_str)))
            .map_err(|f| anyhow::anyhow!("{f}"))
            .and_then(portcullis::app::run),
    };
    if let Err(e) = r {
        eprintln!("{e:#}");
        std::process::exit(78)
    }
}
