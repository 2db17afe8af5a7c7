# shellcheck shell=bash
# How both revisions are built; read by the scripts beside it.

case "${CARGO_TARGET_DIR:=target}" in
    /*) TARGET="$CARGO_TARGET_DIR" ;;
    *) TARGET="$PWD/$CARGO_TARGET_DIR" ;;
esac

# One test along with the programs makes cargo choose the features of dependencies that `make test` has: nothing is built twice.
build() {
    CARGO_TARGET_DIR="$TARGET" "${CARGO:-cargo}" build --locked --workspace --bins --test http
}
