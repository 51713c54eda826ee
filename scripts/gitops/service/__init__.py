"""Services: what stands under overlays/, who owns it, making a new one and handing one over."""
