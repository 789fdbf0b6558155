"""Demo: the web page on which two photographs are mapped, turned and exchange their looks; nothing leaves the machine.

python -m apps.demo                               # opens http://127.0.0.1:7860
"""
