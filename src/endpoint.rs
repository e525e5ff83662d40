//! Our own paths on the hosts of the apps.
