// What is remembered in this browser. In private windows some remember nothing.

export const remembered = {
  get(name) {
    try {
      return localStorage.getItem(`live.${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      if (value) localStorage.setItem(`live.${name}`, value);
      else localStorage.removeItem(`live.${name}`);
    } catch {
      // as it is
    }
  },
};
