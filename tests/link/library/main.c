void link_report(void);

int main(void) {
    link_report();
    return 0;
}
