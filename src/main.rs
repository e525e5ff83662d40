//! The `portcullis` command.

/// Small allocations on the request path are what it does best.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    portcullis::cli::run(std::env::args_os())
}
